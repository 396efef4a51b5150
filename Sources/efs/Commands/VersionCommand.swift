import ArgumentParser

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() {
        if json {
            Console.output(JSON.object([("version", .string(Version.current)), ("format", .integer(Int64(Version.format)))]).text)
        } else {
            Console.output("efs \(Version.current) (volume format \(Version.format))")
        }
    }
}
