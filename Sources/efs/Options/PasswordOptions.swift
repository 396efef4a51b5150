import ArgumentParser
import Syscalls

/// Where the password comes from. An option wins over `EFS_PASSWORD`, which wins over the terminal.
struct PasswordOptions: ParsableArguments {
    @Option(
        name: .customLong("password-file"),
        help: ArgumentHelp("Read the password from the first line of a file.", valueName: "file"), completion: .file())
    var file: String?

    @Option(
        name: .customLong("password-fd"),
        help: ArgumentHelp("Read the password from a file descriptor, up to the first line end.", valueName: "number"))
    var descriptor: Int32?

    @Option(
        name: .customLong("password-command"),
        help: ArgumentHelp("Run a command with sh and read the password from the first line of its output.", valueName: "command"))
    var command: String?

    func validate() throws {
        let given = [file != nil, descriptor != nil, command != nil].filter { $0 }.count
        guard given <= 1 else {
            throw ValidationError("only one of --password-file, --password-fd and --password-command can be used")
        }
    }
}
