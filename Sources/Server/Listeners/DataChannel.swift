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
    private let responder: HTTPChannelHandler.Responder
    private let current = Current()

    init(server: ServerCore, responder: @escaping HTTPChannelHandler.Responder) {
        self.server = server
        self.responder = responder
    }

    private struct NoFace: Error {}

    /// One TLS context for each face, not for each connection.
    private func currentChannel() throws -> (channel: HTTP2UpgradeChannel, fingerprint: Digest32) {
        guard let (material, generation) = server.face.material else { throw NoFace() }
        return try current.channel.withLock { current in
            if let current, current.generation == generation { return (current.channel, current.fingerprint) }
            // The body guard is the first to find a slow peer, and tells it so.
            let timeout = TimeAmount.seconds(Int64(server.options.idleTimeoutSeconds) * 2)
            let limits = BodyGuard.Limits(
                idle: .seconds(Int64(server.options.idleTimeoutSeconds)), leastBytesPerSecond: server.options.leastBytesPerSecond)
            let configuration = HTTP2UpgradeChannel.Configuration(
                idleTimeout: .seconds(server.options.idleTimeoutSeconds * 10), gracefulCloseTimeout: .seconds(10),
                streamConfiguration: HTTP1Channel.Configuration(
                    additionalChannelHandlers: [BodyGuard(limits)], idleTimeout: timeout,
                    httpDecoderConfiguration: .init(maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
            let channel = try HTTP2UpgradeChannel(
                tlsConfiguration: material.configuration, configuration: configuration, responder: responder)
            current = (channel, generation, material.fingerprint)
            return (channel, material.fingerprint)
        }
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        do {
            let (base, fingerprint) = try currentChannel()
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
