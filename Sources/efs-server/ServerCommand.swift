import ArgumentParser
import Glibc
import Logging
import Sealing
import Server
import Syscalls

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "efs-server", abstract: "Serves encrypted volumes over HTTPS.",
        discussion: "Administered with efsctl. docs/SERVER.md describes all of it.",
        subcommands: [ServeCommand.self, MakeStarterKeyCommand.self], defaultSubcommand: ServeCommand.self)

    /// Runs the command line; one line for an error, and an exit status.
    static func runToExit() async -> Never {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            Glibc.exit(0)
        } catch let failure as Failure {
            var text = "efs-server: error: \(failure)\n"
            if let hint = failure.hint { text += "efs-server: hint: \(hint)\n" }
            let bytes = Array(text.utf8)
            _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
            Glibc.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

struct MakeStarterKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make-starter-key", abstract: "Writes a new random starter key to a file.")

    @Argument(help: "The file; it must not exist.") var file: String

    func run() throws {
        try StarterKey.make(at: file)
        // What `efsctl status` calls it.
        let line = Array("\(StarterKey.identifier(of: try StarterKey.fromFile(file)))\n".utf8)
        _ = Glibc.write(STDOUT_FILENO, line, line.count)
    }
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Serves until it is told to end.")

    @Option(help: "The server's directory (EFS_ROOT, /efs).") var root: String?
    @Option(help: "The address to listen on.") var address = "0.0.0.0"
    @Option(help: "The port for users.") var port = 443
    @Option(help: "A name or address of this server, for the certificate that it issues itself; may be repeated.") var host: [String] = []
    @Option(help: "A file that holds the starter key.") var starterKeyFile: String?
    @Option(help: "A file descriptor that gives the starter key.") var starterKeyFd: Int32?
    @Option(help: "The admin socket; in the root's directory 'server' otherwise.") var adminSocket: String?
    @Option(help: "Address and port for health and metrics, without TLS; 'none' for none.") var metricsAddress = "127.0.0.1:9443"
    @Option(help: "Threads that call the storage.") var threads = 16
    @Option(help: "The most bytes that one file may be sent with.") var maxBody: UInt64 = 1 << 40
    @Option(help: "MiB of decrypted contents that are kept in memory; 0 for none.") var cache = 256
    @Option(help: "Seconds that they are kept.") var cacheTtl: Int64 = 300
    @Option(help: "The most connections at a time.") var maxConnections = 1024
    @Option(help: "The most requests of a user in a second.") var rate = 2000
    @Option(help: "Seconds for the TLS handshake, and for the head of a request.") var headTimeout = 10
    @Option(help: "Seconds without progress in a body, after which its connection is closed.") var idleTimeout = 30
    @Option(help: "The least bytes a second of a body, on average, once it has taken as long as --idle-timeout.") var leastRate = 1024
    @Option(
        name: .customLong("accept-rollback"),
        help: "A file system that may be older than this machine last saw it, since a backup was restored; may be repeated.")
    var acceptRollback: [String] = []
    @Option(help: "trace, debug, info, notice, warning, error or critical.") var logLevel = "info"

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else { throw ValidationError("--log-level: there is no level '\(logLevel)'") }
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let key = try starterKey()
        var options = ServerOptions()
        options.root = root ?? getenv("EFS_ROOT").map { String(cString: $0) } ?? "/efs"
        options.address = address
        options.port = port
        options.engineThreads = max(2, threads)
        options.adminSocket = adminSocket
        options.metricsAddress = try Self.hostAndPort(metricsAddress)
        options.maximumBodyBytes = maxBody
        options.cacheBytes = max(0, cache) << 20
        options.cacheSeconds = max(1, cacheTtl)
        options.maximumConnections = max(1, maxConnections)
        options.requestsPerSecond = max(1, rate)
        options.headTimeoutSeconds = max(1, headTimeout)
        options.idleTimeoutSeconds = max(1, idleTimeout)
        options.leastBytesPerSecond = max(1, leastRate)
        options.acceptsRollback = Set(acceptRollback)
        if !host.isEmpty { options.hostNames = host }
        let server = try ServerCore(options: options, logger: Logger(label: "efs-server"))
        try await ServerProcess(server: server, handlesSignals: true).run(starterKey: key)
    }

    private static func hostAndPort(_ text: String) throws -> (host: String, port: Int)? {
        if text.isEmpty || text == "none" { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port) else {
            throw ValidationError("--metrics-address: '\(text)' is no address and port")
        }
        return (String(text[..<colon]), port)
    }

    /// From the first source that is given; nil leaves the server sealed.
    private func starterKey() throws(Failure) -> SecretBytes? {
        if let starterKeyFile { return try StarterKey.fromFile(starterKeyFile) }
        if let starterKeyFd { return try StarterKey.fromDescriptor(starterKeyFd) }
        if let key = try StarterKey.fromEnvironment() { return key }
        return try StarterKey.fromCredentials()
    }
}
