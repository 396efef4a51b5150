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

    /// Where it is not known how much is to be done: what has been done. Rewritten at each mebibyte and each thousandth entry.
    func show(entries: Int, bytes: UInt64) {
        let mark = entries / 1000 &+ Int(truncatingIfNeeded: bytes >> 20)
        guard isShown, mark != lastPercent else { return }
        lastPercent = mark
        Console.rewriteLine("\(what): \(entries) entries, \(Quantity.ofBytes(bytes))")
    }

    func clear() {
        if isShown, lastPercent >= 0 { Console.rewriteLine("") }
    }
}
