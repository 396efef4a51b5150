import ArgumentParser
import Client
import Glibc
import Syscalls
import Transfer

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy files between this machine, servers and volumes.",
        usage: "efs cp [<options>] <source>… <target>",
        discussion: """
            A place is a path of this machine, drive:/path on the server that 'efs remote add drive' noted, or \
            ./vault:/path in a volume that is not mounted.

            A file's place shows the old content or the new, never a part. A copy that was cut goes on where it was when it is \
            made again. Symbolic links and devices are left out, and named.

            With --sync the target becomes like the source: what has the same size and time is left alone, what the source \
            lacks is removed, unless --no-delete.
            """)

    @Argument(help: ArgumentHelp("The sources, and last the target.", valueName: "place"))
    var places: [String]

    @Flag(name: [.customShort("r"), .customLong("recursive")], help: "Copy directories with all that is in them.")
    var recursive = false

    @Flag(help: "Make the target directory like the source directory.")
    var sync = false

    @Flag(help: "With --sync: remove nothing.")
    var noDelete = false

    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Only say what would be done.")
    var dryRun = false

    @Flag(help: "Leave out files whose contents are alike, by their SHA-256.")
    var checksum = false

    @Option(help: ArgumentHelp("Copy only files that match; may be repeated.", valueName: "pattern"))
    var include: [String] = []

    @Option(help: ArgumentHelp("Leave out what matches; may be repeated.", valueName: "pattern"))
    var exclude: [String] = []

    @Option(help: ArgumentHelp("At most so many bytes a second, such as 10M.", valueName: "rate"))
    var bwlimit: String?

    @Option(help: ArgumentHelp("Files at a time.", valueName: "number"))
    var jobs = 4

    @Flag(help: "Tell each step as a line of JSON.")
    var json = false

    @Flag(name: [.customShort("q"), .customLong("quiet")], help: "Tell failures only.")
    var quiet = false

    @OptionGroup(title: "Password of a volume") var password: PasswordOptions

    private func options() throws(Failure) -> CopyOptions {
        var options = CopyOptions()
        options.isRecursive = recursive
        options.isSync = sync
        options.keepsExtra = noDelete
        options.isDryRun = dryRun
        options.comparesContents = checksum
        options.filter.includes = include
        options.filter.excludes = exclude
        guard (1...64).contains(jobs) else { throw Failure(.usage, "--jobs takes 1 to 64", object: String(jobs)) }
        options.parallelCount = jobs
        if let bwlimit {
            guard let rate = parseQuantity(bwlimit) else {
                throw Failure(.usage, "this is no rate", object: bwlimit, hint: "write bytes a second, such as 500k or 10M")
            }
            options.bandwidthBytes = rate
        }
        if noDelete, !sync { throw Failure(.usage, "--no-delete says nothing without --sync") }
        return options
    }

    func run() throws {
        let options = try options()
        guard places.count >= 2, let last = places.last else {
            throw Failure(.usage, "a source and a target are needed", hint: "'efs cp --help' shows how")
        }
        let target = try Place(last)
        let sources = try places.dropLast().map { (text) throws(Failure) in try Place(text) }
        let style: CopyReport.Style = json ? .json : quiet ? .quiet : isatty(STDERR_FILENO) == 1 ? .terminal : .names
        let report = CopyReport(style, isDryRun: dryRun)
        // A volume that is only a source could be opened for reading, but one may be both.
        let readOnly = dryRun || !target.isVolume
        try FileTask.run(readOnly: readOnly, password: password) { opener in
            var summary = CopySummary()
            for source in sources {
                summary += try await Self.copy(source, target, opener, options, isOneOfMany: sources.count > 1, report)
            }
            report.finish(summary)
            guard let failure = report.firstFailure else { return }
            let wholeFailed = summary.failed == 1 && summary.copiedFiles + summary.unchangedFiles == 0
            throw wholeFailed
                ? ToldFailure(kind: failure.kind) : ToldFailure(kind: .incomplete)
        }
    }

    private static func copy(
        _ source: Place, _ target: Place, _ opener: PlaceOpener, _ options: CopyOptions, isOneOfMany: Bool, _ report: CopyReport
    ) async throws -> CopySummary {
        let (from, fromPath) = try opener.tree(source)
        let (to, toPath) = try opener.tree(target)
        let there = try await to.entry(toPath)
        let isDirectory = there?.kind == .directory || target.namesDirectory
        if isOneOfMany, !isDirectory {
            throw Failure(.usage, "several sources need a directory as the target", object: to.display(toPath))
        }
        var place = toPath
        if isDirectory {
            let sourceIsDirectory = try await from.entry(fromPath)?.kind == .directory
            // 'cp --sync a b' makes b like a; 'cp -r a b' puts a into b, as cp(1) does.
            if !(options.isSync && sourceIsDirectory), let name = source.lastName { place = toPath.appending(name) }
        }
        return try await copy(from, fromPath, to, place, options, report)
    }

    /// Opens the existentials: the copier is made for the two kinds of tree.
    private static func copy(
        _ from: some Tree, _ fromPath: RemotePath, _ to: some Tree, _ toPath: RemotePath, _ options: CopyOptions, _ report: CopyReport
    ) async throws -> CopySummary {
        try await Copier(from, to, options) { report.receive($0) }.copy(fromPath, to: toPath)
    }
}

/// Ends the program with a kind's exit status where the failure itself has been told already.
struct ToldFailure: Error {
    var kind: FailureKind
}
