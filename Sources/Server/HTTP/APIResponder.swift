import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import Sealing

/// Answers the requests of the data listener. Each request is settled as far as it can be before its body is read.
final class APIResponder: Sendable {
    let server: ServerCore

    init(server: ServerCore) { self.server = server }

    /// Ends the connection without another word.
    struct ClosesConnection: Error {}

    /// What remains to be done with a request once it is known to be allowed.
    enum Step {
        case reply(Response)
        /// Reads the body. `100 Continue` is due before.
        case receive(@Sendable (RequestBody) async throws -> Response)
    }

    /// A request, as far as all handlers need it.
    struct Call: Sendable {
        var method: HTTPRequest.Method
        var headers: HTTPFields
        var target: RequestTarget
        var connection: Connection
        /// What is found out on the way, for the audit log.
        let notes = AccessNotes()

        /// The request is about this path.
        func note(_ path: RequestPath, _ caller: Caller) { notes.add(path, caller.fileSystem.filenameSalt) }
    }

    /// For Hummingbird.
    func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
        guard let connection = server.connections.connection(of: channel) else { throw ClosesConnection() }
        let call = Call(
            method: request.method, headers: request.headers, target: RequestTarget(request.head.path ?? ""), connection: connection)
        // Until the last byte of the answer is written.
        var lease: RequestLease?
        defer { withExtendedLifetime(lease) {} }
        var response: Response
        var closes = false
        do {
            switch try await step(call, &lease) {
            case .reply(let reply): response = reply
            case .receive(let receive):
                if call.headers[.expect]?.lowercased() == "100-continue" {
                    try await writer.writeInformationalHead(HTTPResponse(status: .continue))
                }
                response = try await receive(request.body)
            }
        } catch let problem as Problem {
            response = .problem(problem)
            // It may or may not send its body now; nobody can tell which of what follows would be one.
            closes = call.headers[.expect] != nil || problem.closesConnection
        } catch {
            server.logger.error("a request failed: \(error)", metadata: ["path": "\(call.target.path)"])
            response = .problem(Problem(.internalServerError, "internal", "the server failed; its log says more"))
            closes = true
        }
        if closes, !connection.isHTTP2 { response.headers[.connection] = "close" }
        let status = response.status.code
        defer { finish(call, status) }
        // An answer to HEAD keeps the length that the body would have.
        let body = call.method == .head ? ResponseBody() : response.body
        try await writer.write(response: response.head, body: body)
        if closes { throw ClosesConnection() }
    }

    /// Once the answer is written, as far as it was.
    private func finish(_ call: Call, _ status: Int) {
        let (received, sent) = call.notes.bytes
        server.metrics.bytesReceived.increment(by: received)
        server.metrics.bytesSent.increment(by: sent)
        server.metrics.count(status: status)
        server.audit.note(call, status: status)
    }

    private func step(_ call: Call, _ lease: inout RequestLease?) async throws -> Step {
        let path = call.target.path
        let route = path.hasPrefix("/v1/") ? path.dropFirst(3) : path.hasPrefix("/data") ? path[...] : ""
        if route == "/server" { return .reply(try describeServer(call)) }
        if route == "/openapi.json" { return .reply(try describeInterface(call)) }
        let held = try server.requireLease()
        lease = held
        let instance = held.instance
        switch route {
        case "/auth/nonce": return try nonceStep(call, instance)
        case "/auth/session" where call.method == .post: return try sessionStep(call, instance)
        default: break
        }
        let caller = try await authenticate(call, instance)
        call.notes.set(user: caller.user.name, fileSystem: caller.fileSystem.name)
        if let rest = Self.rest(of: route, after: "/data") {
            let path = try RequestPath.parse(encoded: rest.utf8)
            call.note(path, caller)
            return try await dataStep(call, caller, path)
        }
        if let rest = Self.rest(of: route, after: "/metadata") {
            let path = try RequestPath.parse(encoded: rest.utf8)
            call.note(path, caller)
            return try await metadataStep(call, caller, path)
        }
        if let rest = Self.rest(of: route, after: "/uploads") {
            return try await uploadStep(call, caller, id: rest.isEmpty ? nil : rest.dropFirst())
        }
        switch route {
        case "/move": return try transferStep(call, caller, copies: false)
        case "/copy": return try transferStep(call, caller, copies: true)
        case "/cache/clear":
            guard call.method == .post else { throw Problem.methodNotAllowed("POST") }
            let cleared = server.cache.clear(fileSystem: caller.fileSystem.cacheNumber)
            return .reply(try .json(["pieces": cleared.pieces, "bytes": cleared.bytes]))
        case "/file-system": return .reply(try await describeFileSystem(call, caller))
        case "/auth/renew": return .reply(try await renew(call, caller, instance))
        case "/auth/session": return .reply(try endSession(call, caller, instance))
        default: throw Problem.notFound
        }
    }

    /// What follows `prefix`: nothing, or something that begins with a slash.
    static func rest(of route: Substring, after prefix: String) -> Substring? {
        guard route.hasPrefix(prefix) else { return nil }
        let rest = route.dropFirst(prefix.count)
        return rest.isEmpty || rest.first == "/" ? rest : nil
    }

    /// The OpenAPI document, as it is built in.
    private func describeInterface(_ call: Call) throws -> Response {
        guard call.method == .get || call.method == .head else { throw Problem.methodNotAllowed("GET, HEAD") }
        return Response(
            status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: Self.interfaceDescription))
    }

    private static let interfaceDescription = ByteBuffer(bytes: PackageResources.openapi_json)

    private func describeServer(_ call: Call) throws -> Response {
        guard call.method == .get || call.method == .head else { throw Problem.methodNotAllowed("GET, HEAD") }
        return try .json(server.publicDescription())
    }
}
