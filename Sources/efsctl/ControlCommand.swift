import ArgumentParser
import FoundationEssentials
import Glibc
import Identity
import KeyManagement
import Sealing
import Server
import Syscalls

/// `efsctl`: administers an efs-server over its Unix socket.
struct ControlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "efsctl", abstract: "Administers an efs-server.",
        subcommands: [
            CreateFileSystem.self, ListFileSystems.self, CreateUser.self, ListUsers.self, RevokeUser.self, RenewCertificate.self,
            SetQuota.self, ClearCache.self, Status.self, Unseal.self, Seal.self, Reload.self, RotateKeys.self, Backup.self, Audit.self,
        ])

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
            var text = "efsctl: error: \(failure)\n"
            if let hint = failure.hint { text += "efsctl: hint: \(hint)\n" }
            let bytes = Array(text.utf8)
            _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
            Glibc.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// Which server, and how it is talked to.
struct ServerOption: ParsableArguments {
    @Option(name: .customLong("socket"), help: "The server's admin socket (EFS_ADMIN_SOCKET, /efs/server/admin.sock).") var path: String?

    func send(_ name: String, _ command: AdminCommand = AdminCommand()) async throws -> AdminAnswer {
        let body = try await client.send("/admin/\(name)", command)
        return try JSONDecoder().decode(AdminAnswer.self, from: Data(body))
    }

    var client: AdminClient {
        AdminClient(socket: path ?? getenv("EFS_ADMIN_SOCKET").map { String(cString: $0) } ?? "/efs/server/admin.sock")
    }
}

struct CreateFileSystem: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create-fs", abstract: "Makes a file system: a volume and its keys.")

    @Argument(help: "Its name.") var name: String
    @Option(help: "The most bytes that its files may have; K, M, G or T for powers of 1024.") var quota: ByteCount?
    @Option(help: "Aes256Gcm, ChaCha20Poly1305 or Aes256GcmSiv.") var cipher: String?
    @OptionGroup var server: ServerOption

    func run() async throws {
        var command = AdminCommand()
        command.name = name
        command.quotaBytes = quota?.bytes
        command.cipher = cipher
        Output.show(try await server.send("create-fs", command).lines)
    }
}

struct ListFileSystems: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list-fs", abstract: "Lists the file systems.")

    @OptionGroup var server: ServerOption

    func run() async throws {
        Output.showTable(try await server.send("list-fs").rows ?? [], ["name", "state", "used", "quota", "cipher", "users", "path"])
    }
}

struct CreateUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create-user", abstract: "Makes a user: takes or makes the key, and issues the client certificate.")

    @Argument(help: "The user's name.") var name: String
    @Option(name: .customLong("fs"), help: "The user's file system.") var fileSystem: String
    @Option(help: "The user's public key: OpenPGP, OpenSSH, or raw Ed25519. Without it a key is made.") var key: String?
    @Option(help: "Where the user may be; may be repeated, with as many --rights.") var prefix: [String] = []
    @Option(help: "What the user may do there: r read, w write, l list, d delete.") var rights: [String] = []
    @Option(help: "The most bytes that the files may have that the user writes; K, M, G or T for powers of 1024.") var quota: ByteCount?
    @Option(help: "The most requests a second.") var rate: Int?
    @Option(help: "How many days the certificate is valid.") var days: Double?
    @OptionGroup var server: ServerOption

    func run() async throws {
        guard prefix.count == rights.count || rights.isEmpty || prefix.isEmpty && rights.count == 1 else {
            throw ValidationError("--prefix and --rights come in pairs")
        }
        var command = AdminCommand()
        command.name = name
        command.fileSystem = fileSystem
        command.key = try key.map { path in Data(try KeyFile.read(path).withUnsafeBytes { Array($0) }).base64EncodedString() }
        let prefixes = prefix.isEmpty ? ["/"] : prefix
        command.grants = prefixes.enumerated().map { Grant(prefix: $1, rights: rights.isEmpty ? "rwld" : rights[$0]) }
        command.quotaBytes = quota?.bytes
        command.requestsPerSecond = rate
        command.days = days
        let answer = try await server.send("create-user", command)
        Output.show(user: name, answer)
    }
}

struct ListUsers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list-users", abstract: "Lists the users.")

    @Option(name: .customLong("fs"), help: "Of this file system only.") var fileSystem: String?
    @OptionGroup var server: ServerOption

    func run() async throws {
        var command = AdminCommand()
        command.fileSystem = fileSystem
        Output.showTable(
            try await server.send("list-users", command).rows ?? [], ["name", "fs", "state", "used", "quota", "grants", "key"])
    }
}

struct RevokeUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke-user", abstract: "Shuts a user out at once: certificates, key and sessions.")

    @Argument(help: "The user's name.") var name: String
    @OptionGroup var server: ServerOption

    func run() async throws {
        var command = AdminCommand()
        command.name = name
        Output.show(try await server.send("revoke-user", command).lines)
    }
}

struct RenewCertificate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew-cert", abstract: "Issues a new client certificate; the one before is refused from then on.")

    @Argument(help: "The user's name.") var name: String
    @Option(help: "How many days it is valid.") var days: Double?
    @OptionGroup var server: ServerOption

    func run() async throws {
        var command = AdminCommand()
        command.name = name
        command.days = days
        let answer = try await server.send("renew-cert", command)
        if let user = answer.user { Output.show(bundle: user) }
        Output.show(answer.lines)
    }
}

struct ClearCache: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clear-cache", abstract: "Wipes the decrypted contents that the server keeps in memory.")

    @OptionGroup var server: ServerOption

    func run() async throws { Output.show(try await server.send("clear-cache").lines) }
}

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tells how the server is.")

    @OptionGroup var server: ServerOption

    func run() async throws { Output.write(String(decoding: try await server.client.send("/admin/status", nil), as: UTF8.self) + "\n") }
}

struct Unseal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives the server its starter key.", discussion: "The key is read from --key-file, or from standard input.")

    @Option(help: "A file that holds the starter key.") var keyFile: String?
    @OptionGroup var server: ServerOption

    func run() async throws {
        let key = try keyFile.map { (path) throws(Failure) in try Password.fromFile(path) } ?? Password.fromDescriptor(STDIN_FILENO)
        var command = AdminCommand()
        command.starterKey = key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        Output.show(try await server.send("unseal", command).lines)
    }
}

struct Seal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Closes the volumes and forgets all keys, until unseal.")

    @OptionGroup var server: ServerOption

    func run() async throws { Output.show(try await server.send("seal").lines) }
}

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Loads the TLS certificate and its key anew.")

    @OptionGroup var server: ServerOption

    func run() async throws { Output.show(try await server.send("reload").lines) }
}
