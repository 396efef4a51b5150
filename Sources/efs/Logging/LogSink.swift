import Glibc
import Logging
import Syscalls
import SystemPackage

/// Where log lines go. One for the whole process.
enum LogSink: Sendable {
    case standardError
    /// A file, appended to: one write for each line, so that lines of several processes do not mix.
    case file(OwnedDescriptor)
    /// The system's log, as a daemon.
    case system

    static func file(at path: String) throws(Failure) -> LogSink {
        do throws(Errno) {
            return .file(try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, mode: 0o600))
        } catch {
            throw Failure(systemCall: "opening the log file", object: path, error)
        }
    }

    /// A line that cannot be written is lost: a full disk must not stop the volume.
    func write(_ text: String, _ level: Logger.Level) {
        switch self {
        case .standardError: Self.append("\(Self.now()) \(level) \(text)\n", to: STDERR_FILENO)
        case .file(let file): Self.append("\(Self.now()) \(level) \(text)\n", to: file.rawValue)
        case .system:
            withVaList([]) { arguments in
                // The text is the format here, so its percent signs are doubled.
                vsyslog(
                    Self.priority(level) | LOG_DAEMON, text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%"),
                    arguments)
            }
        }
    }

    private static func append(_ line: String, to descriptor: Int32) {
        let bytes = Array(line.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    private static func priority(_ level: Logger.Level) -> Int32 {
        switch level {
        case .trace, .debug: LOG_DEBUG
        case .info: LOG_INFO
        case .notice: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .critical: LOG_CRIT
        }
    }

    /// UTC to the millisecond, as RFC 3339.
    private static func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let milliseconds = String(time.tv_nsec / 1_000_000)
        let text = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text + "." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds + "Z"
    }
}
