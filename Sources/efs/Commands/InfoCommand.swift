import ArgumentParser
import FileSystem
import Syscalls

struct InfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Print what a volume's header says; no password is needed.",
        usage: "efs info [--json] <data>")

    @OptionGroup var data: DataDirectory

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        let description = VolumeDescription(try Volume.information(at: try data.path))
        Console.output(json ? description.json.text : description.text)
    }
}
