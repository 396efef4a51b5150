import Synchronization
import Syscalls
import SystemPackage

/// Who may read from the device: one worker at a time, the leader. The others wait.
///
/// A leader keeps its place while it handles what is quick, since waking another thread costs more than that. One of those who
/// wait, the deputy, looks at the clock: if a leader has been at one request for too long, the deputy takes its place. While
/// nothing is going on the deputy sleeps, so that an idle mount wakes nobody. Spare workers lead only when all others are held up.
final class Leadership: @unchecked Sendable {
    /// How often the deputy looks, and so from when on (up to twice that) a request has taken too long.
    private static let tickSeconds = 0.002
    /// Looks without any request after which the deputy sleeps.
    private static let idleTickLimit = 10

    // Unchecked: these are touched only with `monitor` held.
    private var hasLeader = false
    private var hasDeputy = false
    private var waitingCount = 0
    private var ended = false
    private var firstError: Errno?

    private let monitor = Monitor()
    /// What the deputy waits on; the others wait on the monitor.
    private let deputy = Condition()
    /// What spare workers wait on.
    private let spares = Condition()
    /// As `ended`, for those who look at it between two system calls.
    private let endedFlag = Atomic<Bool>(false)
    /// Odd while the leader handles a request. Grows with each, so that equal numbers mean the same request.
    private let progress = Atomic<UInt64>(0)
    private let deputySleeps = Atomic<Bool>(false)

    var hasEnded: Bool { endedFlag.load(ordering: .relaxed) }
    var error: Errno? { monitor.withLock { firstError } }

    // MARK: The leader

    /// The leader begins to handle a request; returns what `finish` wants.
    func begin() -> UInt64 {
        let mark = progress.load(ordering: .relaxed) | 1
        // Either the deputy sees this mark before it sleeps, or its sleep is seen here: both sides are sequentially consistent.
        progress.store(mark, ordering: .sequentiallyConsistent)
        if deputySleeps.load(ordering: .sequentiallyConsistent) { wakeDeputy() }
        return mark
    }

    /// The request is done; false if the deputy has taken the lead meanwhile.
    func finish(_ mark: UInt64) -> Bool {
        progress.compareExchange(expected: mark, desired: mark + 1, ordering: .sequentiallyConsistent).exchanged
    }

    /// Lets another worker lead.
    func release() {
        monitor.withLock {
            hasLeader = false
            // The deputy stays what it is as long as there is another.
            if waitingCount > 0 { monitor.signal() } else if hasDeputy { deputy.signal() } else { spares.signal() }
        }
    }

    private func wakeDeputy() {
        deputySleeps.store(false, ordering: .relaxed)
        monitor.withLock { deputy.signal() }
    }

    // MARK: Those who wait

    /// Waits until this thread leads; false if the session is over.
    func acquire() -> Bool {
        monitor.withLock {
            while !ended {
                if !hasLeader {
                    hasLeader = true
                    return true
                }
                if hasDeputy {
                    waitingCount += 1
                    monitor.wait()
                    waitingCount -= 1
                } else {
                    hasDeputy = true
                    let leads = watch()
                    hasDeputy = false
                    // Somebody must look at the next leader, too: it may get stuck as well.
                    if waitingCount > 0 { monitor.signal() }
                    if leads { return true }
                }
            }
            return false
        }
    }

    /// As `acquire`, for a worker that is there for the case that all others are held up: it leads only while nobody else would.
    func acquireAsSpare() -> Bool {
        monitor.withLock {
            while !ended {
                if !hasLeader, waitingCount == 0, !hasDeputy {
                    hasLeader = true
                    return true
                }
                spares.wait(monitor)
            }
            return false
        }
    }

    /// The deputy's part, with `monitor` held: true if it has taken the lead, false if the lead is free or all is over.
    private func watch() -> Bool {
        var idleTicks = 0
        var before = progress.load(ordering: .sequentiallyConsistent)
        while hasLeader && !ended {
            if idleTicks < Self.idleTickLimit {
                _ = deputy.wait(monitor, seconds: Self.tickSeconds)
            } else {
                deputySleeps.store(true, ordering: .sequentiallyConsistent)
                if progress.load(ordering: .sequentiallyConsistent) == before { deputy.wait(monitor) }
                deputySleeps.store(false, ordering: .relaxed)
                idleTicks = 0
            }
            let now = progress.load(ordering: .sequentiallyConsistent)
            if now == before, now & 1 == 1, hasLeader, !ended, takeLead(from: now) { return true }
            idleTicks = now == before ? idleTicks + 1 : 0
            before = now
        }
        return false
    }

    private func takeLead(from mark: UInt64) -> Bool {
        progress.compareExchange(expected: mark, desired: mark + 1, ordering: .sequentiallyConsistent).exchanged
    }

    // MARK: The end

    /// The session is over; the first error counts.
    func end(_ error: Errno?) {
        endedFlag.store(true, ordering: .relaxed)
        monitor.withLock {
            ended = true
            if firstError == nil { firstError = error }
            monitor.broadcast()
            deputy.broadcast()
            spares.broadcast()
        }
    }
}
