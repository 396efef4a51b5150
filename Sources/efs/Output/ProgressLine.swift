import Glibc

/// How far a long command is, on one line of the terminal that is rewritten. Silent where standard error is no terminal.
final class ProgressLine {
    private let what: String
    private let isShown = isatty(STDERR_FILENO) == 1
    private var lastPercent = -1

    init(_ what: String) { self.what = what }

    /// `part` is from 0 to 1.
    func show(_ part: Double) {
        let percent = Int(part * 100)
        guard isShown, percent != lastPercent else { return }
        lastPercent = percent
        Console.rewriteLine("\(what): \(percent) %")
    }

    func clear() {
        if isShown, lastPercent >= 0 { Console.rewriteLine("") }
    }
}
