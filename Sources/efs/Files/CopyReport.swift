import Glibc
import Synchronization
import Syscalls
import Transfer

/// Shows a copy: a line that is rewritten on a terminal, JSON lines if asked for, and failures in any case.
final class CopyReport: Sendable {
    enum Style: Sendable {
        case quiet, terminal, names, json
    }

    private struct State {
        var doneBytes: UInt64 = 0
        var begunBytes: UInt64 = 0
        var doneFiles = 0
        var lastShown: ContinuousClock.Instant?
        var firstFailure: Failure?
    }

    private let style: Style
    private let isDryRun: Bool
    private let started = ContinuousClock.now
    private let state = Mutex(State())

    init(_ style: Style, isDryRun: Bool) {
        self.style = style
        self.isDryRun = isDryRun
    }

    var firstFailure: Failure? { state.withLock { $0.firstFailure } }

    func receive(_ event: CopyEvent) {
        if case .json = style { tellJSON(event) }
        state.withLock { state in
            switch event {
            case .began(_, let size): state.begunBytes += size
            case .moved(let bytes): state.doneBytes += bytes
            case .copied(let path, _):
                state.doneFiles += 1
                if isDryRun || style == .names { say("\(isDryRun ? "would copy" : "copied") \(path)") }
            case .unchanged: break
            case .removed(let path): if isDryRun || style == .names { say("\(isDryRun ? "would remove" : "removed") \(path)") }
            case .skipped(let path, let reason): if style != .json { clear(); Console.warn("\(path): left out: \(reason)") }
            case .failed(_, let failure):
                if state.firstFailure != nil || style != .json { clear() }
                if style != .json { Console.report(failure) }
                state.firstFailure = state.firstFailure ?? failure
            }
            show(&state)
        }
    }

    private func say(_ text: String) {
        guard style != .json else { return }
        clear()
        Console.output(Console.oneLine(text))
    }

    private func clear() { if style == .terminal { Console.rewriteLine("") } }

    /// Ten times a second is enough for an eye.
    private func show(_ state: inout State) {
        guard style == .terminal, !isDryRun else { return }
        let now = ContinuousClock.now
        if let last = state.lastShown, now - last < .milliseconds(100) { return }
        state.lastShown = now
        let seconds = max(Double((now - started).components.seconds), 1)
        let rate = Quantity.ofBytes(UInt64(Double(state.doneBytes) / seconds))
        let percent = state.begunBytes > 0 ? min(state.doneBytes * 100 / state.begunBytes, 100) : 100
        let filled = Int(percent / 5)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
        Console.rewriteLine(
            "[\(bar)] \(percent) %  \(Quantity.ofBytes(state.doneBytes)) of \(Quantity.ofBytes(state.begunBytes))  "
                + "\(Quantity.of(state.doneFiles, "file"))  \(rate)/s")
    }

    func finish(_ summary: CopySummary) {
        clear()
        switch style {
        case .quiet: break
        case .json:
            Console.output(
                JSON.object([
                    ("event", .string("summary")), ("copiedFiles", .integer(Int64(summary.copiedFiles))),
                    ("copiedBytes", .unsigned(summary.copiedBytes)), ("unchangedFiles", .integer(Int64(summary.unchangedFiles))),
                    ("removed", .integer(Int64(summary.removed))), ("skipped", .integer(Int64(summary.skipped))),
                    ("failed", .integer(Int64(summary.failed))),
                ]).line)
        case .terminal, .names:
            var parts = [
                "\(isDryRun ? "would copy" : "copied") \(Quantity.of(summary.copiedFiles, "file")), \(Quantity.ofBytes(summary.copiedBytes))"
            ]
            if summary.unchangedFiles > 0 { parts.append("\(summary.unchangedFiles) unchanged") }
            if summary.removed > 0 { parts.append("\(summary.removed) removed") }
            if summary.failed > 0 { parts.append("\(summary.failed) failed") }
            Console.note(parts.joined(separator: ", "))
        }
    }

    private func tellJSON(_ event: CopyEvent) {
        func line(_ name: String, _ path: String, _ more: [(String, JSON)] = []) {
            Console.output(JSON.object([("event", .string(name)), ("path", .string(path))] + more).line)
        }
        switch event {
        case .began, .moved: break
        case .copied(let path, let size): line(isDryRun ? "wouldCopy" : "copied", path, [("bytes", .unsigned(size))])
        case .unchanged(let path, let size): line("unchanged", path, [("bytes", .unsigned(size))])
        case .removed(let path): line(isDryRun ? "wouldRemove" : "removed", path)
        case .skipped(let path, let reason): line("skipped", path, [("reason", .string(reason))])
        case .failed(let path, let failure):
            line("failed", path, [("kind", .string(failure.kind.rawValue)), ("message", .string(failure.description))])
        }
    }
}
