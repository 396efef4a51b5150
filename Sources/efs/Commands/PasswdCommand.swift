import ArgumentParser
import Syscalls

struct PasswdCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd", abstract: "Change the password of a volume.",
        usage: "efs passwd [<options>] <data>",
        discussion: """
            Seals the volume's key anew and rewrites no data; whenever it is interrupted, either the old or the new password \
            opens the volume. The new password is asked twice.
            """)

    @OptionGroup var data: DataDirectory
    @OptionGroup(title: "Current password") var password: PasswordOptions

    @Option(help: ArgumentHelp("Read the new password from the first line of a file.", valueName: "file"), completion: .file())
    var newPasswordFile: String?

    func run() throws {
        throw Failure(.inputOutput, "not there yet")
    }
}
