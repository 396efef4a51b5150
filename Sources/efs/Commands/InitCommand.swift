import ArgumentParser
import Glibc
import Sealing
import Syscalls
import SystemPackage

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Create a volume in a data directory.",
        usage: "efs init [<options>] <data>",
        discussion: "The directory must be empty; it is created if only its last name is missing. The password is asked twice.")

    @OptionGroup var data: DataDirectory

    @Option(name: [.customShort("c"), .customLong("cipher")], help: ArgumentHelp("The cipher of the volume.", valueName: "cipher"))
    var cipher = CipherName(.aes256Gcm)

    @OptionGroup(title: "Password") var password: PasswordOptions

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        throw Failure(.inputOutput, "not there yet")
    }
}
