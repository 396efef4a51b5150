import ArgumentParser
import Logging

/// How much is logged, by rencfs's names in any case.
enum LogLevel: String, CaseIterable, ExpressibleByArgument {
    case trace, debug, info, warn, error

    init?(argument: String) { self.init(rawValue: argument.lowercased()) }

    static var allValueStrings: [String] { allCases.map(\.rawValue) }

    var level: Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        }
    }
}

struct LogOptions: ParsableArguments {
    @Option(
        name: [.customShort("l"), .customLong("log-level")],
        help: ArgumentHelp("How much to log.", valueName: "level"))
    var level: LogLevel = .info

    @Option(
        name: .customLong("log-file"),
        help: ArgumentHelp(
            "Append the log to a file. Without it, a mount in the foreground logs to standard error, one in the background to syslog.",
            valueName: "file"), completion: .file())
    var file: String?
}
