import ArgumentParser
import Syscalls

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Verify a volume: authenticate what it holds, and that it holds together.",
        usage: "efs check [<options>] <data>",
        discussion: "Writes nothing. Exit status 13 if something is damaged; what is named then.")

    @OptionGroup var data: DataDirectory

    @Flag(help: "Read and authenticate every block of file data too.")
    var deep = false

    @OptionGroup(title: "Password") var password: PasswordOptions

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        throw Failure(.inputOutput, "not there yet")
    }
}
