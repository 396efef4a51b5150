import ArgumentParser
import Glibc
import KeyManagement
import Sealing
import Server
import Syscalls

/// A number of bytes: digits, and K, M, G or T for powers of 1024.
struct ByteCount: ExpressibleByArgument {
    var bytes: UInt64

    init?(argument: String) {
        let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = argument.last.flatMap { units[$0] }
        guard let number = UInt64(unit == nil ? argument[...] : argument.dropLast()), argument.first != "+" else { return nil }
        let (bytes, isTooMuch) = number.multipliedReportingOverflow(by: unit ?? 1)
        if isTooMuch { return nil }
        self.bytes = bytes
    }
}

struct SetQuota: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-quota", abstract: "Changes how many bytes the files of a file system, or of a user, may have.",
        discussion: "What is there already stays; more is refused as long as it is too much.")

    @Option(name: .customLong("fs"), help: "The file system.") var fileSystem: String?
    @Option(help: "The user.") var user: String?
    @Argument(help: "A number of bytes, with K, M, G or T for powers of 1024; or 'none'.") var quota: String
    @OptionGroup var server: ServerOption

    func run() async throws {
        guard (fileSystem == nil) != (user == nil) else { throw ValidationError("--fs or --user says whose quota it is") }
        var command = AdminCommand()
        command.fileSystem = fileSystem
        command.name = user
        if quota == "none" {
            command.clearsQuota = true
        } else {
            guard let count = ByteCount(argument: quota) else { throw ValidationError("'\(quota)' is no number of bytes") }
            command.quotaBytes = count.bytes
        }
        Output.show(try await server.send("set-quota", command).lines)
    }
}

struct RotateKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-keys", abstract: "Changes the key of session tokens, the starter key, or both.",
        discussion: """
            Without an option the key of tokens is changed. A new starter key is made with: efs-server make-starter-key NEWFILE. The server \
            takes it over at once; at its next start it needs the new one.
            """)

    @Flag(help: "A new key for session tokens; those of the one before are good until they end.") var jwt = false
    @Option(help: "A file that holds the new starter key: everything is sealed under it anew.") var starter: String?
    @OptionGroup var server: ServerOption

    func run() async throws {
        if let starter {
            let key = try Password.fromFile(starter)
            var command = AdminCommand()
            command.starterKey = key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
            Output.show(try await server.send("rotate-starter", command).lines)
        }
        if jwt || starter == nil { Output.show(try await server.send("rotate-jwt").lines) }
    }
}

struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copies the volumes and their sealed keys to a new directory, while they are served.",
        discussion: """
            The directory is made by the server, with the server's rights. It holds everything that was acknowledged before, can be served \
            with the same starter key (efs-server --root), and shows nothing without it.
            """)

    @Argument(help: "The directory; it must not exist.") var directory: String
    @Option(name: .customLong("fs"), help: "This file system only.") var fileSystem: String?
    @OptionGroup var server: ServerOption

    func run() async throws {
        var command = AdminCommand()
        command.directory = try absolute(directory)
        command.fileSystem = fileSystem
        Output.show(try await server.send("backup", command).lines)
    }

    private func absolute(_ path: String) throws(Failure) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        if path.hasPrefix("/") { return path }
        guard let here = getcwd(nil, 0) else { throw Failure(.inputOutput, "the working directory is not known", object: path) }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }
}

struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Verifies the audit log, or shows the accesses to a path.",
        discussion: "--verify ends with status 1 if the log was tampered with, and says where.")

    @Flag(help: "Goes over the whole log.") var verify = false
    @Option(help: "With --verify: NUMBER:DIGEST as 'status' said it earlier (auditSequence and auditHead); the log must lead there.")
    var head: String?
    @Option(name: .customLong("fs"), help: "The file system of the path.") var fileSystem: String?
    @Option(help: "A path in the file system, such as /a/b.") var path: String?
    @Option(help: "The most entries to show, the newest ones.") var limit = 1000
    @OptionGroup var server: ServerOption

    func run() async throws {
        guard verify != (path != nil), (path == nil) == (fileSystem == nil), head == nil || verify else {
            throw ValidationError("either --verify [--head HEAD], or --fs FS --path PATH")
        }
        var command = AdminCommand()
        if verify {
            command.head = head
            let answer = try await server.send("audit-verify", command)
            Output.show(answer.lines)
            if answer.isBad == true { throw ExitCode(1) }
            return
        }
        command.fileSystem = fileSystem
        command.path = path
        command.limit = limit
        for entry in try await server.send("audit", command).entries ?? [] { Output.write(entry + "\n") }
    }
}
