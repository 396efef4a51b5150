import Glibc

/// Something to wait for under a `Monitor`'s lock, besides what the monitor itself is waited on for.
public final class Condition: @unchecked Sendable {
    // @unchecked: the pthread object is made for use by many threads and never moves.
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    public init() { Self.initialize(condition) }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    /// Gives the monitor's lock, which the caller holds, up until `signal`; may also return for no reason.
    public func wait(_ monitor: Monitor) { pthread_cond_wait(condition, monitor.mutex) }

    /// As `wait`, at most for `seconds`; false when the time is over.
    public func wait(_ monitor: Monitor, seconds: Double) -> Bool { Self.wait(condition, monitor.mutex, seconds) }

    /// Wakes one waiting thread.
    public func signal() { pthread_cond_signal(condition) }

    public func broadcast() { pthread_cond_broadcast(condition) }

    static func initialize(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    static func wait(
        _ condition: UnsafeMutablePointer<pthread_cond_t>, _ mutex: UnsafeMutablePointer<pthread_mutex_t>, _ seconds: Double
    ) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let nanoseconds = Int(deadline.tv_nsec) + Int(seconds * 1e9)
        deadline.tv_sec += nanoseconds / 1_000_000_000
        deadline.tv_nsec = nanoseconds % 1_000_000_000
        return pthread_cond_timedwait(condition, mutex, &deadline) == 0
    }
}
