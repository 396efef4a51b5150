import Glibc
import Synchronization

/// Counts the writes that have made a chunk whose extent is not applied yet, so that a cleaner can wait for those that were
/// under way: a segment may look empty of live data while an extent to it is on its way. Thread-safe.
final class WritesInFlight: Sendable {
    private struct State {
        /// Which of the two counts new writes go to.
        var current = 0
        var counts = (0, 0)
    }

    private let state = Mutex(State())
    private let drainLock = Lock()

    /// - Returns: what to pass to `end`.
    func begin() -> Int {
        state.withLock { state in
            if state.current == 0 { state.counts.0 += 1 } else { state.counts.1 += 1 }
            return state.current
        }
    }

    func end(_ side: Int) {
        state.withLock { state in
            if side == 0 { state.counts.0 -= 1 } else { state.counts.1 -= 1 }
        }
    }

    /// Returns when every write that had begun before the call has ended.
    func drain() {
        drainLock.lock()
        defer { drainLock.unlock() }
        // Later writes go to the other side, so this one only falls. Nobody is woken for it: who drains is in no hurry.
        let side = state.withLock { state in
            state.current = 1 - state.current
            return 1 - state.current
        }
        while state.withLock({ (side == 0 ? $0.counts.0 : $0.counts.1) != 0 }) { sched_yield() }
    }
}
