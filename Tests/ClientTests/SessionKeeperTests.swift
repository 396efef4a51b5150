import Synchronization
import Testing

@testable import Client

@Suite struct SessionKeeperTests {
    private final class Server: Sendable {
        struct State {
            var now: Int64 = 1000
            var logIns = 0
            var renewals = 0
            var refusesRenewals = false
        }
        let state = Mutex(State())

        func keeper() -> SessionKeeper {
            SessionKeeper(
                now: { self.state.withLock { $0.now } },
                logIn: { number in
                    self.state.withLock {
                        $0.logIns += 1
                        return Self.tokens(number, expires: $0.now + 3600, renewalsLeft: 2)
                    }
                },
                renew: { old, number in
                    try self.state.withLock {
                        $0.renewals += 1
                        if $0.refusesRenewals {
                            throw ClientError.problem(Problem(status: 401, code: "session-ended", title: "", detail: ""))
                        }
                        return Self.tokens(number, expires: $0.now + 3600, renewalsLeft: old.renewalsLeft - 1)
                    }
                })
        }

        static func tokens(_ number: Int, expires: Int64, renewalsLeft: Int) -> SessionTokens {
            SessionTokens(basic: "b", session: "s\(number)", expires: expires, renewalsLeft: renewalsLeft, fileSystem: "fs", number: number)
        }

        var counts: (logIns: Int, renewals: Int) { state.withLock { ($0.logIns, $0.renewals) } }
        func pass(_ seconds: Int64) { state.withLock { $0.now += seconds } }
    }

    @Test func manyAtOnceLogInOnce() async throws {
        let server = Server()
        let keeper = server.keeper()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 { group.addTask { try await keeper.take().number } }
            for try await number in group { #expect(number == 1) }
        }
        #expect(server.counts == (1, 0))
    }

    @Test func renewsWhenIdleAndLogsInWhenBusyOrUsedUp() async throws {
        let server = Server()
        let keeper = server.keeper()
        _ = try await keeper.take()
        await keeper.giveBack()
        for renewals in 1...2 {
            server.pass(3500)
            _ = try await keeper.take()
            await keeper.giveBack()
            #expect(server.counts == (1, renewals))
        }
        // Used up.
        server.pass(3500)
        _ = try await keeper.take()
        #expect(server.counts == (2, 2))
        // That one is still under way: its token must not be retired.
        server.pass(3500)
        _ = try await keeper.take()
        #expect(server.counts == (3, 2))
    }

    @Test func aRefusedRenewalAndAForgottenSessionLogIn() async throws {
        let server = Server()
        let keeper = server.keeper()
        let first = try await keeper.take()
        await keeper.giveBack()
        server.state.withLock { $0.refusesRenewals = true }
        server.pass(3500)
        let second = try await keeper.take()
        await keeper.giveBack()
        #expect(server.counts == (2, 1) && second.number != first.number)
        // An answer that speaks of the first changes nothing.
        await keeper.forget(first.number)
        #expect(try await keeper.take().number == second.number)
        await keeper.giveBack()
        await keeper.forget(second.number)
        _ = try await keeper.take()
        #expect(server.counts == (3, 1))
    }

    @Test func tokensAreNotInDescriptions() {
        let tokens = Server.tokens(1, expires: 1, renewalsLeft: 1)
        #expect(!"\(tokens)".contains("s1") && !String(reflecting: tokens).contains("s1"))
    }
}
