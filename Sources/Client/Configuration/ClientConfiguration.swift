public import Identity

/// Which server, and who asks.
public struct ClientConfiguration: Sendable {
    /// A name or an address; the server's certificate must be valid for it.
    public var host: String
    public var port: Int
    /// The user's name on the server.
    public var user: String
    public var userKey: UserSecretKey
    /// The client certificate with its key, the CA that the server's certificate must come from, and which server it must be.
    public var bundle: ClientBundle
    /// At most so many connections at a time; further requests wait for one.
    public var largestConnectionCount = 16
    public var connectTimeoutSeconds: Int64 = 10
    /// A connection on which nothing comes or goes for so long is given up.
    public var idleTimeoutSeconds: Int64 = 120
    public var userAgent = "efs"

    public static let defaultPort = 443

    public init(host: String, port: Int = defaultPort, user: String, userKey: UserSecretKey, bundle: ClientBundle) {
        self.host = host
        self.port = port
        self.user = user
        self.userKey = userKey
        self.bundle = bundle
    }
}
