import ArgumentParser
import FileSystem
import KeyManagement
import Sealing
import Syscalls

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Create a volume in a data directory.",
        usage: "efs init [<options>] <data>",
        discussion: """
            The directory must be empty, or hold what an interrupted init left; it is created if only its last name is missing. The \
            password is asked twice.
            """)

    @OptionGroup var data: DataDirectory

    @Option(name: [.customShort("c"), .customLong("cipher")], help: ArgumentHelp("The cipher of the volume.", valueName: "cipher"))
    var cipher = CipherName(.aes256Gcm)

    @OptionGroup(title: "Password") var password: PasswordOptions

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        let path = try data.path
        try Volume.checkCanBeCreated(at: path)  // said before the password is asked
        let password = try PasswordSource(password).newPassword()
        try Volume.create(at: path, suite: cipher.suite, password: password, cost: .calibrated())
        if !SecretMemory.isFullyLocked { Console.warn(Console.unlockedMemory) }
        let description = VolumeDescription(try Volume.information(at: path))
        Console.output(json ? description.json.text : "created a volume in \(Console.oneLine(path)), sealed with \(cipher.suite.name)")
    }
}
