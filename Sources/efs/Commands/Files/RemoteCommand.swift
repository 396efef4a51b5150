import ArgumentParser
import Client
import Glibc
import Identity
import Sealing
import Syscalls
import Transfer

struct RemoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remote", abstract: "Servers, by name: what drive:/path means.",
        subcommands: [Add.self, List.self, Remove.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Note a server under a name.",
            discussion: "Noted in ~/.config/efs/config.toml: where the files with key and certificate are, never what is in them.")

        @Argument(help: ArgumentHelp("Letters, digits, '-' and '_'.", valueName: "name"))
        var name: String

        @Option(help: ArgumentHelp("The server: NAME, NAME:PORT, or [ADDRESS]:PORT.", valueName: "host"))
        var host: String

        @Option(help: ArgumentHelp("Its port; 443 otherwise.", valueName: "number"))
        var port: Int?

        @Option(help: ArgumentHelp("Your secret key: OpenPGP, OpenSSH or raw Ed25519.", valueName: "file"), completion: .file())
        var userKey: String

        @Option(help: ArgumentHelp("The client bundle of 'efsctl create-user'.", valueName: "file"), completion: .file())
        var cert: String

        @Option(help: ArgumentHelp("Your name on the server; that of the certificate otherwise.", valueName: "name"))
        var user: String?

        @Option(
            help: ArgumentHelp("The first line of this file opens the key; asked for otherwise.", valueName: "file"),
            completion: .file())
        var keyPassphraseFile: String?

        @Flag(help: "Replace a remote of this name.")
        var replace = false

        func run() throws {
            let (host, port) = try Remote.hostAndPort(host)
            let bundle = try ClientBundle(file: cert)
            guard user != nil || bundle.userName != nil else {
                throw Failure(.usage, "the certificate names no user", object: cert, hint: "name the user with --user")
            }
            _ = try KeyFile.read(userKey)
            try RemoteBook.ofUser().add(
                name,
                Remote(
                    host: host, port: self.port ?? port, user: user, userKey: Self.absolute(userKey), certificate: Self.absolute(cert),
                    keyPassphraseFile: keyPassphraseFile.map(Self.absolute)), replacing: replace)
        }

        private static func absolute(_ path: String) -> String {
            guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
            defer { free(directory) }
            return "\(String(cString: directory))/\(path)"
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Show the servers that are noted.")

        @Flag(help: "One line of JSON for each.")
        var json = false

        func run() throws {
            for (name, remote) in try RemoteBook.ofUser().remotes().sorted(by: { $0.key < $1.key }) {
                if json {
                    var members: [(String, JSON)] = [
                        ("name", .string(name)), ("host", .string(remote.host)), ("port", .integer(Int64(remote.port))),
                        ("userKey", .string(remote.userKey)), ("cert", .string(remote.certificate)),
                    ]
                    if let user = remote.user { members.append(("user", .string(user))) }
                    Console.output(JSON.object(members).line)
                } else {
                    Console.output(Console.oneLine("\(name)  \(remote.host):\(remote.port)  \(remote.user ?? "-")  \(remote.certificate)"))
                }
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Forget a server. Key and certificate stay where they are.")

        @Argument(help: ArgumentHelp("Its name.", valueName: "name"))
        var name: String

        func run() throws { try RemoteBook.ofUser().remove(name) }
    }
}
