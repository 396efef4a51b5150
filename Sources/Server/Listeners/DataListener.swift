import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// Serves users over HTTPS, once there is a certificate to show.
struct DataListener: Service {
    let server: ServerCore
    let group: MultiThreadedEventLoopGroup
    let onRunning: @Sendable (Int) -> Void

    /// - Parameter onRunning: told the port when connections are taken.
    init(server: ServerCore, group: MultiThreadedEventLoopGroup, onRunning: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.server = server
        self.group = group
        self.onRunning = onRunning
    }

    func run() async throws {
        let face = server.face
        await withGracefulShutdownHandler {
            await face.waitUntilLoaded()
        } onGracefulShutdown: {
            face.stopWaiting()
        }
        guard face.material != nil else { return }
        let responder = APIResponder(server: server)
        let channel = DataChannel(server: server, responder: responder)
        var logger = server.logger
        logger[metadataKey: "listener"] = "data"
        let onRunning = onRunning
        let service = channel.server(
            configuration: ServerConfiguration(
                address: .hostname(server.options.address, port: server.options.port), serverName: nil, backlog: 1024,
                availableConnectionsDelegate: .maximum(server.options.maximumConnections, logger: logger)),
            onServerRunning: { channel in onRunning(channel.localAddress?.port ?? 0) }, eventLoopGroup: group, logger: logger)
        try await service.run()
    }
}
