import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOTLS
import Sealing
import Synchronization

/// One TLS connection on which one request at a time is made (HTTP/1.1). Its task owns the channel's two ends; requests come to
/// it as jobs. Thread-safe; the pool sees to it that there is one user at a time.
final class Connection: Sendable {
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    typealias Job = @Sendable (ResponseReader, Outbound) async -> Void

    let channel: any Channel
    /// SHA-256 of the DER of the certificate that the server showed.
    let serverCertificate: Digest32
    private let host: String
    private let jobs: AsyncStream<Job>.Continuation
    private let hasFailed = Atomic<Bool>(false)

    /// Whether another request can be made.
    var isUsable: Bool { !hasFailed.load(ordering: .relaxed) && channel.isActive }

    private init(_ channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>, serverCertificate: Digest32, host: String) {
        self.channel = channel.channel
        self.serverCertificate = serverCertificate
        self.host = host
        let (stream, continuation) = AsyncStream.makeStream(of: Job.self)
        jobs = continuation
        Task {
            // What a channel's end has to tell, its jobs have been told.
            try? await channel.executeThenClose { inbound, outbound in
                let reader = ResponseReader(inbound.makeAsyncIterator())
                for await job in stream { await job(reader, outbound) }
            }
        }
    }

    static func open(_ configuration: ClientConfiguration, _ context: NIOSSLContext, on group: any EventLoopGroup) async throws
        -> Connection
    {
        let host = configuration.host
        let seen = group.any().makePromise(of: Digest32.self)
        let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
        do {
            channel = try await ClientBootstrap(group: group)
                .connectTimeout(.seconds(configuration.connectTimeoutSeconds))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 4 << 10, initial: 64 << 10, maximum: 256 << 10)
                )
                .connect(host: host, port: configuration.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try addHandlers(to: channel, configuration, context, seen)
                        return try NIOAsyncChannel(
                            wrappingChannelSynchronously: channel,
                            configuration: .init(backPressureStrategy: .init(lowWatermark: 4, highWatermark: 16)))
                    }
                }
        } catch {
            seen.fail(error)
            throw ClientError.unreachable(host: "\(host):\(configuration.port)", cause: Self.words(error))
        }
        do {
            return Connection(channel, serverCertificate: try await seen.futureResult.get(), host: host)
        } catch {
            try? await channel.executeThenClose { _, _ in }
            throw Self.handshakeError(error, host: "\(host):\(configuration.port)")
        }
    }

    private static func addHandlers(
        to channel: any Channel, _ configuration: ClientConfiguration, _ context: NIOSSLContext, _ seen: EventLoopPromise<Digest32>
    ) throws {
        // The name in the handshake must be one: an address is checked against the certificate without.
        let isAddress = (try? SocketAddress(ipAddress: configuration.host, port: 0)) != nil
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : configuration.host))
        try pipeline.addHandler(HandshakeWatch(seen))
        try pipeline.addHandler(IdleStateHandler(allTimeout: .seconds(configuration.idleTimeoutSeconds)))
        try pipeline.addHandler(HTTPRequestEncoder())
        try pipeline.addHandler(
            ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward)))
        try pipeline.addHandler(IdleClosing())
    }

    /// A certificate that does not verify is another matter than a server that is not there.
    private static func handshakeError(_ error: any Error, host: String) -> ClientError {
        if case .handshakeFailed? = error as? NIOSSLError { return distrust(host) }
        if error is NIOSSLExtraError { return distrust(host) }
        return .interrupted(host: host, cause: words(error))
    }

    private static func distrust(_ host: String) -> ClientError {
        .untrusted(host: host, reason: "its certificate does not come from the CA of the bundle, or is for another name")
    }

    /// An error of a library in a few words.
    static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return words(first.error) }
            return "no address is known for this name"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as ChannelError:
            if case .connectTimeout = error { return "no answer in time" }
            return "the server closed it"
        case is ResponseReader.Ended: return "the server closed it"
        case let error as NIOSSLError:
            if case .uncleanShutdown = error { return "the server closed it" }
            return "TLS: \(error)"
        case is CancellationError: return "it was given up"
        case let error as BoringSSLError: return "TLS: \(error)"
        default: return "\(error)"
        }
    }

    /// Runs `body` with the connection's two ends; cancelling closes it.
    func run<R: Sendable>(_ body: @escaping @Sendable (ResponseReader, Outbound) async throws -> R) async throws -> R {
        let channel = self.channel
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<R, any Error>) in
                let yielded = jobs.yield { reader, outbound in
                    do {
                        continuation.resume(returning: try await body(reader, outbound))
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
                if case .terminated = yielded { continuation.resume(throwing: ChannelError.ioOnClosedChannel) }
            }
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// What comes next on the connection is not known to be an answer's beginning.
    func spoil() { hasFailed.store(true, ordering: .relaxed) }

    /// No further request is made; ends when the running one does.
    func close() {
        spoil()
        jobs.finish()
        channel.close(promise: nil)
    }
}

/// Tells the server's certificate once the TLS handshake is done, or why it failed.
private final class HandshakeWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let seen: EventLoopPromise<Digest32>

    init(_ seen: EventLoopPromise<Digest32>) { self.seen = seen }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            do {
                guard let certificate = try context.channel.pipeline.syncOperations.nioSSL_peerCertificate() else {
                    throw NIOSSLError.unableToValidateCertificate
                }
                seen.succeed(DigestHasher.digest(of: try certificate.toDERBytes()))
            } catch { seen.fail(error) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        seen.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        seen.fail(ChannelError.eof)
        context.fireChannelInactive()
    }
}

/// Closes a connection on which nothing happens any more.
private final class IdleClosing: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) } else { context.fireUserInboundEventTriggered(event) }
    }
}
