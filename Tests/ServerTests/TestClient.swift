import Identity
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOTLS
import Sealing
import Synchronization
import Syscalls

@testable import Server

/// One TLS connection that speaks HTTP/1.1: what a test sends is what goes over the wire.
final class TestClient: Sendable {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    struct ConnectionLost: Error {}

    private let channel: any Channel
    private let answers: AnswerHandler
    /// SHA-256 of the server's leaf.
    let serverCertificate: Digest32

    private init(channel: any Channel, answers: AnswerHandler, serverCertificate: Digest32) {
        self.channel = channel
        self.answers = answers
        self.serverCertificate = serverCertificate
    }

    /// - Parameter bundle: the client's certificate and key; nil for none.
    static func connect(port: Int, authority: [UInt8], bundle: ClientBundle?) async throws -> TestClient {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates([try NIOSSLCertificate(bytes: authority, format: .der)])
        if let bundle, let key = bundle.keyPEM {
            tls.certificateChain = [.certificate(try NIOSSLCertificate(bytes: bundle.certificateDER, format: .der))]
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: key.withUnsafeBytes { Array($0) }, format: .pem))
        }
        let context = try NIOSSLContext(configuration: tls)
        let answers = AnswerHandler()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    try operations.addHandler(try NIOSSLClientHandler(context: context, serverHostname: "localhost"))
                    try operations.addHTTPClientHandlers()
                    try operations.addHandler(AnswerHandlerBox(answers))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        try await answers.waitForHandshake()
        let leaf = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.nioSSL_peerCertificate()?.toDERBytes()
        }.get()
        return TestClient(
            channel: channel, answers: answers, serverCertificate: DigestHasher.digest(of: leaf ?? []))
    }

    func request(
        _ method: HTTPMethod, _ path: String, headers: [(String, String)] = [], body: [UInt8] = []
    ) async throws -> Answer {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: HTTPHeaders([("Host", "localhost")] + headers))
        if [.PUT, .POST, .PATCH].contains(method) || !body.isEmpty,
            !head.headers.contains(name: "Content-Length"), !head.headers.contains(name: "Transfer-Encoding")
        {
            head.headers.add(name: "Content-Length", value: String(body.count))
        }
        try await send(head, body, ends: true)
        return try await answer()
    }

    /// Sends a part of a request; `answer` takes the answer.
    func send(_ head: HTTPRequestHead, _ body: [UInt8], ends: Bool) async throws {
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if !body.isEmpty { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        if ends {
            channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        } else {
            channel.flush()
        }
    }

    func sendBody(_ body: [UInt8]) async throws {
        try await channel.writeAndFlush(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body)))).get()
    }

    func sendEnd() async throws { try await channel.writeAndFlush(HTTPClientRequestPart.end(nil)).get() }

    func answer() async throws -> Answer { try await answers.next() }

    /// Takes nothing more of what the server sends.
    func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

    func close() async { try? await channel.close().get() }
}

/// Collects the answers of a connection.
final class AnswerHandler: Sendable {
    private struct State {
        var handshake: Result<Void, any Error>?
        var handshakeWaiter: CheckedContinuation<Void, any Error>?
        var answers: [TestClient.Answer] = []
        var waiter: CheckedContinuation<TestClient.Answer, any Error>?
        var error: (any Error)?
        var current: TestClient.Answer?
    }

    private let state = Mutex(State())

    func handshakeEnded(_ result: Result<Void, any Error>) {
        let waiter = state.withLock { state in
            if state.handshake == nil { state.handshake = result }
            defer { state.handshakeWaiter = nil }
            return state.handshakeWaiter
        }
        waiter?.resume(with: result)
    }

    func waitForHandshake() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let result = state.withLock { state -> Result<Void, any Error>? in
                if state.handshake == nil { state.handshakeWaiter = continuation }
                return state.handshake
            }
            if let result { continuation.resume(with: result) }
        }
    }

    func received(_ part: HTTPClientResponsePart) {
        let done = state.withLock { state -> (CheckedContinuation<TestClient.Answer, any Error>, TestClient.Answer)? in
            switch part {
            case .head(let head):
                state.current = TestClient.Answer(status: Int(head.status.code), headers: head.headers, body: [])
                return nil
            case .body(let bytes):
                state.current?.body += Array(bytes.readableBytesView)
                return nil
            case .end:
                guard let answer = state.current else { return nil }
                state.current = nil
                if let waiter = state.waiter {
                    state.waiter = nil
                    return (waiter, answer)
                }
                state.answers.append(answer)
                return nil
            }
        }
        done?.0.resume(returning: done!.1)
    }

    func failed(_ error: any Error) {
        handshakeEnded(.failure(error))
        let waiter = state.withLock { state in
            if state.error == nil { state.error = error }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: error)
    }

    func next() async throws -> TestClient.Answer {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state -> Result<TestClient.Answer, any Error>? in
                if !state.answers.isEmpty { return .success(state.answers.removeFirst()) }
                if let error = state.error { return .failure(error) }
                state.waiter = continuation
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }
}

private final class AnswerHandlerBox: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let answers: AnswerHandler

    init(_ answers: AnswerHandler) { self.answers = answers }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { answers.received(unwrapInboundIn(data)) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { answers.handshakeEnded(.success(())) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answers.failed(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { answers.failed(TestClient.ConnectionLost()) }
}
