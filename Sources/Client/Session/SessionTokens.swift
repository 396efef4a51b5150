/// What the server gave for a handshake: the two tokens that each request carries. Never printed.
struct SessionTokens: Sendable, CustomStringConvertible, CustomReflectable {
    var basic: String
    var session: String
    /// Seconds since 1970.
    var expires: Int64
    var renewalsLeft: Int
    var fileSystem: String
    /// Tells tokens of one client apart.
    var number: Int

    var headers: [(String, String)] { [("Authorization", "Basic \(basic)"), ("Efs-Session", session)] }
    var description: String { "<session tokens \(number)>" }
    var customMirror: Mirror { Mirror(self, children: []) }
}
