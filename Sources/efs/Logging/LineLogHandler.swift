import Logging
import Syscalls

/// Log events as lines: message, then metadata as `key=value`.
struct LineLogHandler: LogHandler {
    let sink: LogSink
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(sink: LogSink, level: Logger.Level) {
        self.sink = sink
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = event.message.description
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
        sink.write(Console.oneLine(line), event.level)
    }

    /// To be called once in a process, before the first logger is made.
    static func install(_ settings: MountRequest.LogSettings, inForeground: Bool) throws(Failure) {
        let sink = if let file = settings.file { try LogSink.file(at: file) } else { inForeground ? LogSink.standardError : .system }
        let level = settings.level.level
        LoggingSystem.bootstrap { _ in LineLogHandler(sink: sink, level: level) }
    }
}
