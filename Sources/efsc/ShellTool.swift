import ArgumentParser
import Client
import Dispatch
import Glibc
import KeyManagement
import ProductVersion
import Sealing
import Synchronization
import Syscalls
import Transfer

/// `efsc`: arguments in, exit status out. The numbers are those of docs/EXIT_CODES.md.
enum ShellTool {
    static func run(_ arguments: [String]) -> Int32 {
        do {
            let command = try ShellCommand.parse(arguments)
            return try command.start()
        } catch let failure as Failure {
            Terminal.report(failure)
            return status(of: failure.kind)
        } catch {
            let code = ShellCommand.exitCode(for: error)
            if code.isSuccess {
                Terminal.output(ShellCommand.fullMessage(for: error))
                return 0
            }
            Terminal.report(Failure(.usage, ShellCommand.message(for: error), hint: "'efsc --help' shows what there is"))
            return 2
        }
    }

    static func status(of kind: FailureKind) -> Int32 {
        switch kind {
        case .usage: 2
        case .wrongPassword: 12
        case .damaged: 13
        case .alreadyExists: 15
        case .busy: 16
        case .missing: 17
        case .noSpace: 19
        case .readOnly: 20
        case .notPermitted: 21
        case .unreachable: 23
        case .refused: 24
        case .conflict: 25
        case .incomplete: 26
        case .interrupted: 130
        default: 22
        }
    }

    /// Runs asynchronous work from the main thread, which nothing asynchronous needs.
    static func waitFor<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
        let box = ResultBox<R>()
        let done = DispatchSemaphore(value: 0)
        Task {
            let result: Result<R, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            box.result.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        guard let result = box.result.withLock({ $0 }) else { throw Failure(.inputOutput, "the work came to no end") }
        return try result.get()
    }

    private final class ResultBox<R: Sendable>: Sendable {
        let result = Mutex<Result<R, any Error>?>(nil)
    }
}

struct ShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "efsc", abstract: "A shell on the files of an efs-server.",
        usage: "efsc -h <host> -u <key> -c <certificate> [<options>]",
        discussion: """
            'help' within it lists its commands. With --batch, or when standard input is no terminal, commands are read from \
            there without questions, and the first that fails ends it with its exit status.
            """,
        version: "efsc \(ProductVersion.text)",
        helpNames: [.long])

    @Option(
        name: [.customShort("h"), .customLong("host")],
        help: ArgumentHelp("The server: NAME, NAME:PORT or [ADDRESS]:PORT.", valueName: "host"))
    var host: String

    @Option(name: [.customShort("p"), .customLong("port")], help: ArgumentHelp("Its port; 443 otherwise.", valueName: "number"))
    var port: Int?

    @Option(
        name: [.customShort("u"), .customLong("user-key")],
        help: ArgumentHelp("Your secret key: OpenPGP, OpenSSH or raw Ed25519.", valueName: "file"))
    var userKey: String

    @Option(
        name: [.customShort("c"), .customLong("cert")], help: ArgumentHelp("The client bundle of 'efsctl create-user'.", valueName: "file"))
    var certificate: String

    @Option(help: ArgumentHelp("Your name on the server; that of the certificate otherwise.", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("The first line of this file opens the key; asked for otherwise.", valueName: "file"))
    var keyPassphraseFile: String?

    @Flag(help: "Ask nothing; end at the first command that fails.")
    var batch = false

    @Option(
        name: [.customShort("e"), .customLong("execute")],
        help: ArgumentHelp("Run this command and end; may be repeated.", valueName: "command"))
    var commands: [String] = []

    func start() throws -> Int32 {
        let (host, port) = try Remote.hostAndPort(host)
        let remote = Remote(
            host: host, port: self.port ?? port, user: user, userKey: userKey, certificate: certificate,
            keyPassphraseFile: keyPassphraseFile)
        let configuration = try remote.configuration { (what) throws(Failure) in
            try Password.fromTerminal(prompt: "Passphrase of \(what): ")
        }
        let client: EFSClient
        do { client = try EFSClient(configuration) } catch let error as ClientError { throw error.failure(host) }
        do { try ShellTool.waitFor { try await client.connect() } } catch let error as ClientError { throw error.failure(host) }
        let isInteractive = commands.isEmpty && !batch && isatty(STDIN_FILENO) == 1
        if isInteractive {
            Terminal.output("Connected to \(host)...\nTLS Client Auth: OK.\nPGP User Auth: OK.\nConnection to efs server active.\n")
        }
        let shell = Shell(client, isInteractive: isInteractive)
        defer { try? ShellTool.waitFor { await client.shutDown() } }
        return shell.run(commands.isEmpty ? nil : commands)
    }
}
