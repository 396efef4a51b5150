import Synchronization
import Syscalls
import SystemPackage

/// Who may read from the device: at most one worker at a time.
final class Leadership: @unchecked Sendable {
    // Unchecked: these are touched only with `monitor` held.
    private var hasLeader = false
    private var waitingCount = 0
    private var ended = false
    private var firstError: Errno?

    private let monitor = Monitor()
    /// As `ended`, for those who look at it between two system calls.
    private let endedFlag = Atomic<Bool>(false)

    var hasEnded: Bool { endedFlag.load(ordering: .relaxed) }
    var error: Errno? { monitor.withLock { firstError } }

    /// Waits until this thread leads; false if the session is over.
    func acquire() -> Bool {
        monitor.withLock {
            while hasLeader && !ended {
                waitingCount += 1
                monitor.wait()
                waitingCount -= 1
            }
            if ended { return false }
            hasLeader = true
            return true
        }
    }

    /// Lets another worker lead.
    func release() {
        monitor.withLock {
            hasLeader = false
            if waitingCount > 0 { monitor.signal() }
        }
    }

    /// The session is over; the first error counts.
    func end(_ error: Errno?) {
        endedFlag.store(true, ordering: .relaxed)
        monitor.withLock {
            ended = true
            if firstError == nil { firstError = error }
            monitor.broadcast()
        }
    }
}
