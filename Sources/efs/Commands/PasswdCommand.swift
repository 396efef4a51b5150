import ArgumentParser
import FileSystem
import KeyManagement
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
        let path = try data.path
        _ = try Volume.information(at: path)  // what is wrong with the volume is said before a password is asked
        let old = try PasswordSource(password).password(prompt: "Current password: ")
        let new = try PasswordSource(file: newPasswordFile).newPassword(usingEnvironment: false)
        try Volume.changePassword(at: path, from: old, to: new, cost: .calibrated())
    }
}
