import HummingbirdCore
import HummingbirdHTTP2
import Logging
import NIOCore
import NIOHTTPTypes
import NIOSSL
import Sealing
import Synchronization

/// What a connection of the data listener is made of: TLS as the face shows it now, HTTP/1.1 or HTTP/2, and the registrar that learns whose
/// it is.
struct DataChannel: ServerChildChannel {
    typealias Value = HTTP2UpgradeChannel.Value

    private final class Current: Sendable {
        let channel = Mutex<(channel: HTTP2UpgradeChannel, generation: UInt64, fingerprint: Digest32)?>(nil)
    }

    private let server: ServerCore
    private let responder: APIResponder
    private let current = Current()

    init(server: ServerCore, responder: APIResponder) {
        self.server = server
        self.responder = responder
    }

    /// A connection's share of memory: what is read at a time, and what waits to be sent.
    private static let readLimitBytes = 256 << 10
    private static let writeMark = ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 512 << 10)

    private struct NoFace: Error {}

    /// One TLS context for each face, not for each connection.
    private func currentChannel() throws -> (channel: HTTP2UpgradeChannel, fingerprint: Digest32) {
        guard let (material, generation) = server.face.material else { throw NoFace() }
        return try current.channel.withLock { current in
            if let current, current.generation == generation { return (current.channel, current.fingerprint) }
            let timeout = TimeAmount.seconds(Int64(server.options.idleTimeoutSeconds))
            let responder = responder
            var configuration = HTTP2UpgradeChannel.Configuration(
                idleTimeout: .seconds(server.options.idleTimeoutSeconds * 10), gracefulCloseTimeout: .seconds(10),
                streamConfiguration: HTTP1Channel.Configuration(
                    additionalChannelHandlers: [BodyGuard(), QuickReader.Installer(responder)], idleTimeout: timeout,
                    httpDecoderConfiguration: .init(maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
            configuration.streamConfiguration.idleTimeout = timeout
            let channel = try HTTP2UpgradeChannel(
                tlsConfiguration: material.configuration, configuration: configuration
            ) { request, writer, channel in
                try await responder.respond(request, writer, channel)
            }
            current = (channel, generation, material.fingerprint)
            return (channel, material.fingerprint)
        }
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        do {
            let (base, fingerprint) = try currentChannel()
            // Large uploads and downloads move in large steps; a connection that sends little has a small buffer.
            try channel.syncOptions?.setOption(
                ChannelOptions.recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16384, maximum: Self.readLimitBytes))
            try channel.syncOptions?.setOption(ChannelOptions.writeBufferWaterMark, value: Self.writeMark)
            let result = base.setup(channel: channel, logger: logger)
            let operations = channel.pipeline.syncOperations
            let registrar = ConnectionRegistrar(
                table: server.connections, serverCertificate: fingerprint,
                handshakeTimeout: .seconds(Int64(server.options.headTimeoutSeconds)))
            try operations.addHandler(registrar, position: .after(try operations.handler(type: NIOSSLServerHandler.self)))
            return result
        } catch { return channel.eventLoop.makeFailedFuture(error) }
    }

    func handle(value: Value, logger: Logger) async {
        guard let channel = current.channel.withLock({ $0?.channel }) else { return }
        await channel.handle(value: value, logger: logger)
    }
}

/// Watches over the bodies of requests:
/// - One that ends in the middle, since its connection or stream does, becomes an error: otherwise it would look whole.
/// - What still comes of one that was answered already is dropped, and only so much of it: the connection is not worth more.
final class BodyGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    struct CutBody: Error {}

    /// Enough that an ordinary client gets to see the answer before it is cut off.
    private static let lateLimitBytes = 16 << 20

    private var isInside = false
    private var isAnswered = false
    private var lateBytes = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            isInside = true
            isAnswered = false
            lateBytes = 0
        case .end: isInside = false
        case .body(let bytes):
            guard isAnswered else { break }
            lateBytes += bytes.readableBytes
            if lateBytes > Self.lateLimitBytes { context.close(promise: nil) }
            // Reading goes on as long as somebody asks for more.
            context.fireChannelRead(wrapInboundOut(.body(ByteBuffer())))
            return
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data), isInside { isAnswered = true }
        context.write(data, promise: promise)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The other side closes its half: the same for a body that is not whole.
        if isInside, event as? ChannelEvent == .inputClosed { fail(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context)
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext) {
        guard isInside else { return }
        isInside = false
        context.fireErrorCaught(CutBody())
    }
}
