import Glibc

/// Holds the session's tokens, gets them at the first use, renews them before they end and gets new ones when the server has
/// forgotten them. However many requests need that at once, it is done once.
///
/// A renewal retires the token before, and a retired token that still arrives ends the session. So a renewal is made only while
/// no request is under way; otherwise a new handshake is made, which leaves the old tokens as they are.
actor SessionKeeper {
    /// So long before its end a token is replaced.
    private static let marginSeconds: Int64 = 300

    private let logIn: @Sendable (_ number: Int) async throws -> SessionTokens
    private let renew: @Sendable (SessionTokens, _ number: Int) async throws -> SessionTokens
    private let now: @Sendable () -> Int64
    private var tokens: SessionTokens?
    private var users = 0
    private var lastNumber = 0
    private var refreshing: Task<Void, any Error>?

    init(
        now: @escaping @Sendable () -> Int64 = { Int64(time(nil)) },
        logIn: @escaping @Sendable (Int) async throws -> SessionTokens,
        renew: @escaping @Sendable (SessionTokens, Int) async throws -> SessionTokens
    ) {
        self.now = now
        self.logIn = logIn
        self.renew = renew
    }

    /// Tokens for one request; `giveBack` must follow when its answer is there.
    func take() async throws -> SessionTokens {
        while true {
            if let refreshing {
                try await refreshing.value
                continue
            }
            if let tokens, tokens.expires - now() > Self.marginSeconds {
                users += 1
                return tokens
            }
            try await refresh()
        }
    }

    func giveBack() { users -= 1 }

    /// The server no longer takes these tokens.
    func forget(_ number: Int) {
        if tokens?.number == number { tokens = nil }
    }

    /// Forgets all; the tokens that were held, for ending the session.
    func end() -> SessionTokens? {
        defer { tokens = nil }
        return tokens
    }

    /// The task itself puts the tokens in place and takes itself away before it ends: who waits for it finds things settled.
    private func refresh() async throws {
        lastNumber += 1
        let number = lastNumber
        let old = users == 0 ? tokens : nil
        tokens = nil
        let task = Task {
            defer { refreshing = nil }
            tokens = try await fetch(renewing: old, number)
        }
        refreshing = task
        try await task.value
    }

    private func fetch(renewing old: SessionTokens?, _ number: Int) async throws -> SessionTokens {
        if let old, old.renewalsLeft > 0, old.expires > now() {
            do { return try await renew(old, number) } catch ClientError.problem(let problem) where problem.status == 401 {
                return try await logIn(number)
            }
        }
        return try await logIn(number)
    }
}
