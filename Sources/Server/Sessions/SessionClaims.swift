import JWTKit

/// The claims of a session token (docs/HTTP_API.md). What they mean is checked where the session is known, not here.
struct SessionClaims: JWTPayload {
    struct Confirmation: Codable, Sendable {
        /// SHA-256 of the client certificate (RFC 8705), base64url.
        var certificate: String

        enum CodingKeys: String, CodingKey { case certificate = "x5t#S256" }
    }

    /// Server id and instance, base64url.
    var iss: String
    var ins: String
    var sub: String
    var fs: String
    var sid: String
    /// Renewals before this token.
    var gen: Int
    var jti: String
    /// Seconds since 1970.
    var iat: Int64
    var exp: Int64
    var cnf: Confirmation

    func verify(using algorithm: some JWTAlgorithm) throws {}
}
