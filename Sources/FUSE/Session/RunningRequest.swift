internal import Synchronization

/// The request that one worker has in its hands, for INTERRUPT to find.
package final class RunningRequest: Sendable {
    private let unique = Atomic<UInt64>(0)
    private let interrupted = Atomic<UInt64>(0)

    package init() {}

    package func begin(_ unique: UInt64) { self.unique.store(unique, ordering: .relaxed) }
    package func end() { unique.store(0, ordering: .relaxed) }

    /// True if this worker has that request.
    func interrupt(_ wanted: UInt64) -> Bool {
        guard unique.load(ordering: .relaxed) == wanted else { return false }
        interrupted.store(wanted, ordering: .relaxed)
        return true
    }

    /// Whether that request was interrupted; an interrupt that came late for an earlier one does not count.
    func isInterrupted(_ wanted: UInt64) -> Bool { interrupted.load(ordering: .relaxed) == wanted }
}
