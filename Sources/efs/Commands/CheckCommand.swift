import ArgumentParser
import FileSystem
import Log
import Sealing
import Syscalls

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Verify a volume: authenticate what it holds, and that it holds together.",
        usage: "efs check [<options>] <data>",
        discussion: "Writes nothing. The volume must not be mounted. Exit status 13 if something is damaged; each piece is named then.")

    @OptionGroup var data: DataDirectory

    @Flag(help: "Read and authenticate every block of file data too.")
    var deep = false

    @Flag(help: "Check the volume although it is older than was last seen on this machine.")
    var acceptRollback = false

    @OptionGroup(title: "Password") var password: PasswordOptions

    @Flag(help: "Answer in JSON.")
    var json = false

    func run() throws {
        let path = try data.path
        _ = try Volume.information(at: path)  // what is wrong with the header is said before a password is asked
        var options = VolumeOptions()
        options.isReadOnly = true
        options.acceptsRollback = acceptRollback
        let volume = try Volume.open(at: path, password: try PasswordSource(password).password(), options: options)
        let progress = ProgressLine("checking")
        let report = try volume.check(deep: deep, progress: progress.show)
        progress.clear()
        let generation = volume.statistics.generation
        try volume.close()
        Console.output(json ? Self.json(report, generation).text : Self.text(report, generation, deep: deep))
        guard report.isClean else {
            throw Failure(
                .damaged, "the check found \(Quantity.of(report.problemCount, "problem"))", object: path,
                hint: "what can still be read can be copied out of a read-only mount")
        }
    }

    private static func text(_ report: CheckReport, _ generation: UInt64, deep: Bool) -> String {
        var lines = report.problems
        if report.problemCount > lines.count { lines.append("… and \(report.problemCount - lines.count) more") }
        let depth = deep ? "every block" : "metadata"
        lines.append(
            "checked \(depth): \(Quantity.of(report.inodes, "inode")), \(Quantity.of(report.tables, "table")), "
                + "\(Quantity.of(report.segments, "segment")), \(Quantity.ofBytes(report.bytes)), generation \(generation)")
        if report.isClean { lines.append("no problem found") }
        return lines.map(Console.oneLine).joined(separator: "\n")
    }

    private static func json(_ report: CheckReport, _ generation: UInt64) -> JSON {
        .object([
            ("clean", .bool(report.isClean)), ("problemCount", .integer(Int64(report.problemCount))),
            ("problems", .array(report.problems.map { .string($0) })), ("inodes", .integer(Int64(report.inodes))),
            ("tables", .integer(Int64(report.tables))), ("segments", .integer(Int64(report.segments))),
            ("bytes", .unsigned(report.bytes)), ("generation", .unsigned(generation)),
        ])
    }
}
