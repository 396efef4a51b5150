import HTTPTypes
import Syscalls
import SystemPackage

/// An answer that says no: problem details (RFC 9457). Holds no secret and nothing that the asker may not know.
struct Problem: Error, Sendable {
    var status: HTTPResponse.Status
    /// As in the list of docs/HTTP_API.md.
    var code: String
    var detail: String
    var headers = HTTPFields()
    /// The rest of the request is not worth reading.
    var closesConnection = false

    init(_ status: HTTPResponse.Status, _ code: String, _ detail: String) {
        self.status = status
        self.code = code
        self.detail = detail
    }

    func with(_ name: HTTPField.Name, _ value: String) -> Problem {
        var problem = self
        problem.headers[name] = value
        return problem
    }

    struct Body: Encodable {
        var type: String
        var title: String
        var status: Int
        var detail: String
        var code: String
    }

    var body: Body {
        Body(type: "urn:efs:problem:\(code)", title: status.reasonPhrase, status: status.code, detail: detail, code: code)
    }
}

extension Problem {
    static let notFound = Problem(.notFound, "not-found", "there is nothing at this path")
    static let forbidden = Problem(.forbidden, "forbidden", "this user may not do that at this path")
    static let authenticationRequired = Problem(
        .unauthorized, "authentication-required", "the request needs both tokens of a session of this instance"
    ).with(.wwwAuthenticate, "Basic realm=\"efs\"")
    static let handshakeFailed = Problem(.unauthorized, "handshake-failed", "the handshake was not accepted")
    static let certificateRefused = Problem(.forbidden, "certificate-refused", "this client certificate is not the user's, or was revoked")
    static let sessionExpired = Problem(.unauthorized, "session-expired", "the session's token has expired")
    static let sessionEnded = Problem(.unauthorized, "session-ended", "the session has ended")
    static let tooLarge = Problem(.contentTooLarge, "too-large", "the body is larger than this server takes")
    static let headersTooLarge = Problem(
        .requestHeaderFieldsTooLarge, "headers-too-large", "the request's head is larger than this server takes")
    static let busy = Problem(.serviceUnavailable, "busy", "too many requests are waiting").with(.retryAfter, "1")
    static let preconditionFailed = Problem(.preconditionFailed, "precondition-failed", "the file is not as the request expects")

    static func badRequest(_ detail: String) -> Problem { Problem(.badRequest, "bad-request", detail) }
    static func sealed(_ reason: String) -> Problem { Problem(.serviceUnavailable, "sealed", reason).with(.retryAfter, "10") }
    static func methodNotAllowed(_ allowed: String) -> Problem {
        Problem(.methodNotAllowed, "method-not-allowed", "this path takes \(allowed)").with(.allow, allowed)
    }

    /// A body whose end did not come.
    static func cutBody(_ error: any Error) -> Problem {
        guard error is BodyGuard.SlowBody else { return Problem(.badRequest, "incomplete-body", "the body did not arrive whole") }
        var problem = Problem(.requestTimeout, "too-slow", "the body came too slowly")
        problem.closesConnection = true
        return problem
    }

    /// What the engine said.
    init(_ errno: Errno) {
        switch errno {
        case .noSuchFileOrDirectory, .staleNFSFileHandle: self = .notFound
        case .notDirectory: self = Problem(.conflict, "not-a-directory", "a component of the path is not a directory")
        case .isDirectory: self = Problem(.conflict, "not-a-file", "there is a directory at this path")
        case .fileExists: self = Problem(.conflict, "exists", "there is something at this path already")
        case .directoryNotEmpty: self = Problem(.conflict, "directory-not-empty", "the directory is not empty")
        case .noSpace: self = Problem(.insufficientStorage, "no-space", "the storage is full")
        case .diskQuotaExceeded: self = Problem(.insufficientStorage, "quota-exceeded", "the quota is used up")
        case .readOnlyFileSystem: self = Problem(.serviceUnavailable, "read-only", "the file system cannot be written now")
        case .fileNameTooLong: self = Problem(.badRequest, "bad-path", "a name is too long")
        case .invalidArgument: self = Problem(.conflict, "conflict", "that cannot be done with these paths")
        case .fileTooLarge: self = .tooLarge
        case .tooManyLinks: self = Problem(.conflict, "conflict", "the directory holds too many directories")
        case .ioError: self = Problem(.internalServerError, "damaged", "the stored data failed its authentication")
        default: self = Problem(.internalServerError, "internal", "the server failed; its log says more")
        }
    }

    init(_ failure: Failure) {
        switch failure.kind {
        case .usage: self = .badRequest(failure.description)
        case .missing: self = Problem(.notFound, "not-found", failure.description)
        case .alreadyExists, .notEmpty, .busy: self = Problem(.conflict, "exists", failure.description)
        case .wrongPassword: self = Problem(.forbidden, "forbidden", failure.description)
        case .noSpace: self = Problem(.insufficientStorage, "no-space", failure.description)
        default: self = Problem(.internalServerError, "internal", failure.description)
        }
    }
}

extension HTTPResponse.Status {
    static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
    static let locked = HTTPResponse.Status(code: 423, reasonPhrase: "Locked")
    static let checksumMismatch = HTTPResponse.Status(code: 460, reasonPhrase: "Checksum Mismatch")
}
