public import Syscalls

/// The server's answer to a request that it refuses or cannot do (RFC 9457; the codes are in docs/HTTP_API.md).
public struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    public var status: Int
    /// The last part of `urn:efs:problem:<code>`; empty if the answer came from something that is no efs-server.
    public var code: String
    public var title: String
    public var detail: String
    /// Of `Retry-After`.
    public var retryAfterSeconds: Int64?

    public var description: String {
        let text = detail.isEmpty ? title : detail
        return code.isEmpty ? "the server answered with status \(status)" : "\(text) (\(code))"
    }
}

public enum ClientError: Error, Sendable {
    case problem(Problem)
    /// No connection could be made.
    case unreachable(host: String, cause: String)
    /// The other side is not the server that is expected.
    case untrusted(host: String, reason: String)
    /// The connection ended, or nothing came for too long.
    case interrupted(host: String, cause: String)
    /// An answer that no efs-server gives.
    case malformed(host: String, what: String)
    /// The configuration cannot be used.
    case configuration(Failure)

    /// The same as a command says it: what failed, on what, and what to do. `object` is the path or remote it was about.
    public func failure(_ object: String?) -> Failure {
        switch self {
        case .problem(let problem): Self.failure(problem, object)
        case .unreachable(let host, let cause):
            Failure(
                .unreachable, "the server cannot be reached: \(cause)", object: host,
                hint: "is efs-server running there, and the port right?")
        case .untrusted(let host, let reason):
            Failure(
                .refused, "this is not the server that is expected: \(reason)", object: host,
                hint: "ask the server's administrator for a new client bundle")
        case .interrupted(let host, let cause): Failure(.unreachable, "the connection broke: \(cause)", object: object ?? host)
        case .malformed(let host, let what): Failure(.unreachable, "the server's answer makes no sense: \(what)", object: host)
        case .configuration(let failure): failure
        }
    }

    private static func failure(_ problem: Problem, _ object: String?) -> Failure {
        let kind: FailureKind
        var hint: String?
        switch (problem.status, problem.code) {
        case (_, "handshake-failed"):
            (kind, hint) = (.refused, "is this the key of the user that the certificate names?")
        case (_, "certificate-refused"):
            (kind, hint) = (.refused, "the certificate may be revoked: 'efsctl renew-cert' makes a new one")
        case (401, _): kind = .refused
        case (403, _): kind = .notPermitted
        case (404, _): kind = .missing
        case (_, "exists"): kind = .alreadyExists
        case (_, "digest-mismatch"), (_, "checksum-mismatch"):
            (kind, hint) = (.conflict, "the source changed meanwhile, or the way spoils what goes over it")
        case (409, _), (412, _), (423, _): kind = .conflict
        case (_, "sealed"): (kind, hint) = (.unreachable, "'efsctl unseal' on the server opens it")
        case (_, "read-only"): kind = .readOnly
        case (503, _), (429, _), (408, _): kind = .unreachable
        case (507, _): kind = .noSpace
        case (_, "damaged"): kind = .damaged
        case (400..<500, _): kind = .usage
        default: kind = .inputOutput
        }
        return Failure(kind, problem.description, object: object, hint: hint)
    }
}
