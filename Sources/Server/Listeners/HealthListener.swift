import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Answers `/health/live`, `/health/ready` and `/metrics`, without TLS: for the machine itself, or a network that may know.
struct HealthListener: Service {
    let server: ServerCore
    let group: MultiThreadedEventLoopGroup
    let host: String
    let port: Int

    func run() async throws {
        let server = server
        let channel = HTTP1Channel(
            responder: { request, writer, _ in
                let response = Self.answer(request, server)
                let body = request.method == .head ? ResponseBody() : response.body
                try await writer.write(response: response.head, body: body)
            }, configuration: HTTP1Channel.Configuration(idleTimeout: .seconds(30)))
        var logger = server.logger
        logger[metadataKey: "listener"] = "health"
        let service = channel.server(
            configuration: ServerConfiguration(address: .hostname(host, port: port), serverName: nil),
            onServerRunning: { channel in server.healthPort.store(channel.localAddress?.port ?? 0, ordering: .relaxed) },
            eventLoopGroup: group, logger: logger)
        try await service.run()
    }

    private static func answer(_ request: Request, _ server: ServerCore) -> Response {
        guard request.method == .get || request.method == .head else { return .problem(.methodNotAllowed("GET, HEAD")) }
        switch RequestTarget(request.head.path ?? "").path {
        case "/health/live": return text("live\n")
        case "/health/ready":
            if case .ready = server.currentState { return text("ready\n") }
            return text("\(server.publicDescription().state)\n", status: .serviceUnavailable)
        case "/metrics": return text(server.metricsText(), type: "text/plain; version=0.0.4")
        default: return .problem(.notFound)
        }
    }

    private static func text(_ text: String, status: HTTPResponse.Status = .ok, type: String = "text/plain; charset=utf-8") -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
