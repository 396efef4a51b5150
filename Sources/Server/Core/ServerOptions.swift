/// How a server runs; not kept on disk.
package struct ServerOptions: Sendable {
    package var root = "/efs"
    package var address = "0.0.0.0"
    package var port = 443
    /// DNS names and addresses of the server's certificate, when one is issued.
    package var hostNames: [String] = ["localhost", "127.0.0.1", "::1"]
    /// nil for the place under the root.
    package var adminSocket: String?
    /// Host and port of the health and metrics listener; nil for none.
    package var metricsAddress: (host: String, port: Int)?
    package var engineThreads = 16
    package var maximumBodyBytes: UInt64 = 1 << 40
    package var maximumConnections = 1024
    package var headTimeoutSeconds = 10
    package var idleTimeoutSeconds = 30
    /// On average, once a body has taken as long as `idleTimeoutSeconds`.
    package var leastBytesPerSecond = 1024
    package var requestsPerSecond = 2000
    package var cacheBytes = 256 << 20
    package var cacheSeconds: Int64 = 300
    /// Where this machine keeps what it saw last of the volumes; nil for the standard place.
    package var stateDirectory: String?
    /// File systems that may be older than this machine last saw them: a backup was restored.
    package var acceptsRollback: Set<String> = []
    /// File systems that are mounted as well, and where.
    package var mounts: [(fileSystem: String, directory: String)] = []

    package init() {}
}
