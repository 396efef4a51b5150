import Glibc
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTPTypes
import NIOPosix
import ServiceLifecycle
import Syscalls

/// Takes the administrator's commands over a Unix socket that only root and the service's user can use.
struct AdminListener: Service {
    let server: ServerCore
    let group: MultiThreadedEventLoopGroup

    func run() async throws {
        let path = server.options.adminSocket ?? server.layout.adminSocket
        guard path.utf8.count < 108 else {
            throw Failure(
                .usage, "the path of the admin socket is longer than 107 bytes", object: path, hint: "choose another with --admin-socket")
        }
        let responder = AdminResponder(server: server)
        let channel = AdminChannel { request, writer, _ in try await responder.respond(request, writer) }
        var logger = server.logger
        logger[metadataKey: "listener"] = "admin"
        let service = channel.server(
            configuration: ServerConfiguration(address: .unixDomainSocket(path: path), serverName: nil, backlog: 16),
            onServerRunning: { _ in
                // The directory is 0700, and each peer is checked: nobody else can come in before this.
                _ = chmod(path, 0o600)
            }, eventLoopGroup: group, logger: logger)
        defer { unlink(path) }
        try await service.run()
    }
}

/// HTTP/1.1, for peers that may.
private struct AdminChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    private let base: HTTP1Channel

    init(responder: @escaping HTTPChannelHandler.Responder) {
        base = HTTP1Channel(responder: responder, configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(60)))
    }

    /// `struct ucred` of unix(7).
    private struct Credentials: BitwiseCopyable {
        var process: Int32 = 0
        var user: UInt32 = 0
        var group: UInt32 = 0
    }

    private struct Stranger: Error {}

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard let provider = channel as? any SocketOptionProvider else { return channel.eventLoop.makeFailedFuture(Stranger()) }
        let credentials: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(level: .socket, name: .init(rawValue: SO_PEERCRED))
        return credentials.flatMap { peer in
            guard peer.user == 0 || peer.user == geteuid() else {
                logger.warning("another user came to the admin socket", metadata: ["uid": "\(peer.user)"])
                return channel.eventLoop.makeFailedFuture(Stranger())
            }
            return base.setup(channel: channel, logger: logger)
        }
    }

    func handle(value: Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}
