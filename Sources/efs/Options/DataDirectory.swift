import ArgumentParser
import Syscalls

/// The data directory, as a positional argument or as rencfs's `-d`.
struct DataDirectory: ParsableArguments {
    @Argument(help: ArgumentHelp("The data directory that holds the volume.", valueName: "data"), completion: .directory)
    var positional: String?

    @Option(
        name: [.customShort("d"), .customLong("data-dir")],
        help: ArgumentHelp("The data directory, instead of the first argument.", valueName: "data"), completion: .directory)
    var option: String?

    var path: String {
        get throws(Failure) {
            switch (positional, option) {
            case (let path?, nil), (nil, let path?): return try checked(path, "data directory")
            case (nil, nil):
                throw Failure(.usage, "the data directory is missing", hint: "name it as an argument or with --data-dir")
            case (_?, _?):
                throw Failure(.usage, "the data directory is given twice", hint: "use the argument or --data-dir, not both")
            }
        }
    }
}

/// Refuses the empty path, which some system calls take for the current directory.
func checked(_ path: String, _ what: String) throws(Failure) -> String {
    guard !path.isEmpty else { throw Failure(.usage, "the \(what) is an empty path") }
    return path
}
