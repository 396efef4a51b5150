import Syscalls

/// Warnings of a command that goes on after them, and the exit status that says so.
final class Warnings {
    private var count = 0
    private let progress: ProgressLine

    init(_ progress: ProgressLine) { self.progress = progress }

    func add(_ text: String) {
        count += 1
        progress.clear()
        Console.warn(text)
    }

    /// Throws if there was one: the command has done what it could.
    func finish(object: String) throws(Failure) {
        if count > 0 { throw Failure(.incomplete, "done, but \(Quantity.of(count, "thing")) could not be kept as it was", object: object) }
    }
}
