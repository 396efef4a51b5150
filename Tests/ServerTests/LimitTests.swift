import FileSystem
import FoundationEssentials
import Identity
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Sealing
import Synchronization
import Testing

@testable import Server

/// Each limit of the table in docs/SERVER.md that is not shown elsewhere, met with short times and small numbers.
@Suite struct LimitTests {
    private func with(
        _ edit: (inout ServerOptions) -> Void = { _ in }, _ body: @Sendable (ServerFixture, TestSession) async throws -> Void
    ) async throws {
        try await ServerFixture.with(edit) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")))
        }
    }

    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }

    private func head(_ session: TestSession, _ method: HTTPMethod, _ path: String, _ headers: [(String, String)]) -> HTTPRequestHead {
        HTTPRequestHead(
            version: .http1_1, method: method, uri: path, headers: HTTPHeaders(session.headers + [("Host", "localhost")] + headers))
    }

    // MARK: Slow clients

    @Test func aBodyThatDoesNotGetOnIsRefused() async throws {
        try await with({ $0.idleTimeoutSeconds = 1 }) { (fixture, session) async throws in
            let client = try await fixture.connectAgain(session)
            try await client.send(head(session, .PUT, "/v1/data/f", [("Content-Length", "1000")]), bytes(10), ends: false)
            let answer = try await client.answer()
            #expect(answer.status == 408)
            #expect(answer.code == "too-slow")
            #expect(answer.headers.first(name: "Connection") == "close")
            #expect(try await session.request(.GET, "/v1/data/f").status == 404)
        }
    }

    /// It gets on, and too slowly.
    @Test func aBodyBelowTheLeastRateIsRefused() async throws {
        try await with({
            $0.idleTimeoutSeconds = 1
            $0.leastBytesPerSecond = 10_000
        }) { (fixture, session) async throws in
            let client = try await fixture.connectAgain(session)
            try await client.send(head(session, .PUT, "/v1/data/f", [("Content-Length", "1000000")]), bytes(10), ends: false)
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let drip =
                loop.scheduleRepeatedAsyncTask(initialDelay: .milliseconds(50), delay: .milliseconds(50)) { _ in
                    let done = loop.makePromise(of: Void.self)
                    done.completeWithTask { try? await client.sendBody([1, 2, 3]) }
                    return done.futureResult
                }
            defer { drip.cancel() }
            #expect(try await client.answer().code == "too-slow")
        }
    }

    /// Slow, and not slower than allowed.
    @Test func aBodyAtTheLeastRateIsTaken() async throws {
        try await with({
            $0.idleTimeoutSeconds = 2
            $0.leastBytesPerSecond = 1000
        }) { (fixture, session) async throws in
            let client = try await fixture.connectAgain(session)
            let (count, step) = (60, 500)
            try await client.send(head(session, .PUT, "/v1/data/f", [("Content-Length", "\(count * step)")]), [], ends: false)
            let sent = Atomic<Int>(0)
            // 10,000 a second, for three seconds.
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let drip =
                loop.scheduleRepeatedAsyncTask(initialDelay: .milliseconds(50), delay: .milliseconds(50)) { task in
                    let done = loop.makePromise(of: Void.self)
                    let number = sent.wrappingAdd(1, ordering: .relaxed).newValue
                    done.completeWithTask {
                        guard number <= count else { return task.cancel() }
                        try? await client.sendBody([UInt8](repeating: 7, count: step))
                        if number == count { try? await client.sendEnd() }
                    }
                    return done.futureResult
                }
            defer { drip.cancel() }
            #expect(try await client.answer().status == 201)
        }
    }

    @Test func whoDoesNotTakeTheAnswerIsClosedOn() async throws {
        try await with({
            $0.idleTimeoutSeconds = 2
            $0.leastBytesPerSecond = 1 << 20
        }) { (fixture, session) async throws in
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(40 << 20)).status == 201)
            let client = try await fixture.connectAgain(session)
            #expect(fixture.server.connections.count == 2)
            try await client.stopReading()
            try await client.send(head(session, .GET, "/v1/data/f", []), [], ends: true)
            while fixture.server.connections.count > 1 { await Task.yield() }
            #expect(try await session.request(.HEAD, "/v1/data/f").status == 200)
        }
    }

    @Test func aHeadThatDoesNotEndIsClosedOn() async throws {
        try await with({ $0.headTimeoutSeconds = 1 }) { (fixture, session) async throws in
            let client = try await RawClient.connect(fixture, session.user)
            try await client.send("GET /v1/server HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            try await client.closed()
            // One that is between two requests is not.
            let second = try await RawClient.connect(fixture, session.user)
            try await second.send("GET /v1/server HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try await second.wait(for: "\"product\"")
            try await second.send("GET /v1/server HTTP/1.1\r\nHost: ")
            try await second.closed()
            #expect(second.text.components(of: "HTTP/1.1 200") == 1)
        }
    }

    /// `100 Continue` comes before the body is sent, and only where the body is wanted.
    @Test func continueIsSentForWhatIsTaken() async throws {
        try await with { (fixture, session) async throws in
            let fields = (session.headers + [("Host", "localhost"), ("Content-Length", "5"), ("Expect", "100-continue")])
                .map { "\($0): \($1)\r\n" }.joined()
            let client = try await RawClient.connect(fixture, session.user)
            try await client.send("PUT /v1/data/f HTTP/1.1\r\n\(fields)\r\n")
            try await client.wait(for: "HTTP/1.1 100")
            #expect(!client.text.contains("HTTP/1.1 2"))
            try await client.send("hello")
            try await client.wait(for: "\"size\":5")
            #expect(client.text.contains("HTTP/1.1 201"))
            let refused = try await RawClient.connect(fixture, session.user)
            try await refused.send("PUT /v1/data/f HTTP/1.1\r\n\(fields)If-None-Match: *\r\n\r\n")
            try await refused.closed()
            #expect(refused.text.hasPrefix("HTTP/1.1 412"))
        }
    }

    // MARK: Sizes

    @Test(arguments: [(1, 20_000), (3, 12_000), (120, 10)]) func aHeadThatIsTooLargeIsRefused(_ fields: (Int, Int)) async throws {
        try await with { (fixture, session) async throws in
            let client = try await RawClient.connect(fixture, session.user)
            let lines = (0..<fields.0).map { "X-Field-\($0): " + String(repeating: "a", count: fields.1) + "\r\n" }
            try await client.send("GET /v1/server HTTP/1.1\r\nHost: localhost\r\n" + lines.joined() + "\r\n")
            try await client.closed()
            #expect(client.text.hasPrefix("HTTP/1.1 431 "))
            #expect(client.text.contains("headers-too-large"))
        }
    }

    @Test func aJSONBodyIsShort() async throws {
        try await with { (_, session) async throws in
            let body = "{\"from\":\"/a\",\"to\":\"/b\"" + String(repeating: " ", count: 64 << 10) + "}"
            #expect(try await session.request(.POST, "/v1/move", body: Array(body.utf8)).status == 413)
        }
    }

    // MARK: Numbers

    @Test func noMoreConnectionsThanAllowed() async throws {
        try await with({ $0.maximumConnections = 2 }) { (fixture, first) async throws in
            let second = try await fixture.connectAgain(first)
            let third = Task { try await fixture.connectAgain(first).request(.GET, "/v1/server").status }
            // The two go on, and the third waits until one of them is gone.
            for _ in 0..<20 {
                #expect(try await second.request(.GET, "/v1/server").status == 200)
                #expect(fixture.server.connections.count <= 2)
            }
            await second.close()
            #expect(try await third.value == 200)
        }
    }

    @Test func noMoreNoncesOnAConnectionThanAllowed() async throws {
        try await with { (fixture, session) async throws in
            let client = try await fixture.connectAgain(session)
            var last = TestHandshake(session.user, client)
            for number in 0...NonceTable.limitPerConnection {
                var handshake = TestHandshake(session.user, client)
                let answer = try await handshake.begin(client)
                #expect(answer.status == (number < NonceTable.limitPerConnection ? 200 : 429))
                if answer.status == 200 { last = handshake }
            }
            #expect(try await last.end(client).status == 201)
            var next = TestHandshake(session.user, client)
            #expect(try await next.begin(client).status == 200)
        }
    }

    @Test func theOldestSessionOfAUserGoes() async throws {
        try await with { (fixture, first) async throws in
            let client = try await fixture.connectAgain(first)
            for _ in 1..<SessionTable.limitPerUser {
                var handshake = TestHandshake(first.user, client)
                _ = try await handshake.begin(client)
                #expect(try await handshake.end(client).status == 201)
            }
            #expect(try await first.request(.GET, "/v1/data/").status == 200)
            var handshake = TestHandshake(first.user, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).status == 201)
            #expect(try await first.request(.GET, "/v1/data/").code == "session-ended")
        }
    }

    @Test func aUserMayHaveAnotherRateThanOthers() async throws {
        try await with { (fixture, other) async throws in
            let slow = try await fixture.open(try await fixture.makeUser("slow") { $0.requestsPerSecond = 2 })
            for round in 0..<6 {
                #expect(try await slow.request(.GET, "/v1/data/").status == (round < 4 ? 200 : 429))
                #expect(try await other.request(.GET, "/v1/data/").status == 200)
            }
        }
    }

    // MARK: Certificates

    /// Connections from then on are shown the new one, and those that are open go on.
    @Test func aCertificateIsReplacedWithoutARestart() async throws {
        try await with { (fixture, session) async throws in
            let instance = try fixture.server.requireInstance()
            let issued = try instance.authority.issueServer(names: ["localhost"])
            let layout = fixture.server.layout
            try ServerFiles.replace(layout.tlsKey, with: try #require(issued.keyPEM).withUnsafeBytes { Array($0) })
            try ServerFiles.replace(layout.tlsCertificate, with: Array(issued.certificatePEM.utf8))
            try fixture.server.reload()
            #expect(try await session.request(.GET, "/v1/data/").status == 200)
            let again = try await fixture.open(session.user)
            #expect(again.client.serverCertificate == issued.fingerprint)
            #expect(again.client.serverCertificate != session.client.serverCertificate)
            // One that cannot be used leaves it as it is.
            try ServerFiles.replace(layout.tlsCertificate, with: Array("rubbish".utf8))
            #expect(throws: (any Error).self) { try fixture.server.reload() }
            #expect(try await fixture.open(session.user).client.serverCertificate == issued.fingerprint)
        }
    }
}

extension String {
    /// How often a text is in it.
    fileprivate func components(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

/// A TLS connection over which a test sends bytes as they are.
private final class RawClient: ChannelInboundHandler, @unchecked Sendable {
    // @unchecked: what changes is under the lock.
    typealias InboundIn = ByteBuffer

    private struct State {
        var text = ""
        var waiting: (part: String, continuation: CheckedContinuation<Void, Never>)?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)

    var text: String { state.withLock { $0.text } }

    static func connect(_ fixture: ServerFixture, _ user: ServerFixture.TestUser) async throws -> RawClient {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates([try NIOSSLCertificate(bytes: try ServerFixture.authority(of: fixture.root), format: .der)])
        if let key = user.bundle.keyPEM {
            tls.certificateChain = [.certificate(try NIOSSLCertificate(bytes: user.bundle.certificateDER, format: .der))]
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: key.withUnsafeBytes { Array($0) }, format: .pem))
        }
        let context = try NIOSSLContext(configuration: tls)
        let client = RawClient()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    try operations.addHandler(try NIOSSLClientHandler(context: context, serverHostname: "localhost"))
                    try operations.addHandler(client)
                }
            }
            .connect(host: "127.0.0.1", port: fixture.port).get()
        client.channel.withLock { $0 = channel }
        return client
    }

    func send(_ text: String) async throws {
        try await channel.withLock { $0 }?.writeAndFlush(ByteBuffer(string: text)).get()
    }

    /// Returns when the server has closed the connection.
    func closed() async throws { try await channel.withLock { $0 }?.closeFuture.get() }

    /// Returns when the text has come, or the connection is closed.
    func wait(for part: String) async throws {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state -> Bool in
                if state.text.contains(part) || state.isClosed { return true }
                state.waiting = (part, continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    private func note(_ text: String, isClosed: Bool) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.text += text
            state.isClosed = state.isClosed || isClosed
            guard let waiting = state.waiting, state.isClosed || state.text.contains(waiting.part) else { return nil }
            state.waiting = nil
            return waiting.continuation
        }
        waiter?.resume()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { note(String(buffer: unwrapInboundIn(data)), isClosed: false) }
    func channelInactive(context: ChannelHandlerContext) { note("", isClosed: true) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
