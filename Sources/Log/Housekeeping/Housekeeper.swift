import Synchronization
import Syscalls

/// A thread behind a log that is open for writing: it does a round of work when it is kicked, and once a second. It keeps the log alive
/// only during a round, so a log that is dropped without `close` goes, and the thread with it.
final class Housekeeper: Sendable {
    /// What was asked of it since the last round.
    struct Wish: Sendable {
        var isKicked = false
        var wantsZeros = false
        fileprivate var isDismissed = false
    }

    private final class Reference: Sendable {
        weak let log: VolumeLog?
        init(_ log: VolumeLog) { self.log = log }
    }

    private let name: String
    /// Returns whether to go on.
    private let round: @Sendable (VolumeLog, Wish) -> Bool
    private let monitor = Monitor()
    private let wish = Mutex(Wish())
    private let thread = Mutex<WorkerThread?>(nil)

    init(name: String, round: @escaping @Sendable (VolumeLog, Wish) -> Bool) {
        self.name = name
        self.round = round
    }

    func start(_ log: VolumeLog) {
        let reference = Reference(log)
        thread.withLock { $0 = WorkerThread(name: name) { [self] in run(reference) } }
    }

    func kick() { signal { $0.isKicked = true } }
    func kickForZeros() { signal { $0.wantsZeros = true } }
    /// Ends the thread after the round that it is in, without waiting for that.
    func dismiss() { signal { $0.isDismissed = true } }

    /// Ends the thread and waits for its end. May be called again.
    func stop() {
        dismiss()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    var isDismissed: Bool { wish.withLock { $0.isDismissed } }

    private func signal(_ change: (inout Wish) -> Void) {
        monitor.withLock {
            wish.withLock { change(&$0) }
            monitor.broadcast()
        }
    }

    /// Waits for a wish, at most for a second.
    private func next() -> Wish {
        monitor.withLock {
            let isQuiet = wish.withLock { !$0.isKicked && !$0.wantsZeros && !$0.isDismissed }
            if isQuiet { _ = monitor.wait(seconds: 1) }
            return wish.withLock { wish in
                defer {
                    wish.isKicked = false
                    wish.wantsZeros = false
                }
                return wish
            }
        }
    }

    private func run(_ reference: Reference) {
        while true {
            let wish = next()
            guard !wish.isDismissed, let log = reference.log, round(log, wish) else { return }
        }
    }
}

/// Seconds of the monotonic clock.
enum Clock {
    static func seconds() -> Double {
        let passed = (ContinuousClock.now - start).components
        return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    }

    private static let start = ContinuousClock.now
}
