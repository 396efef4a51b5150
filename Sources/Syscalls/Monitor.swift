import Glibc

/// A mutual exclusion lock with a condition to wait for (pthread_mutex_t and pthread_cond_t, monotonic clock). For the few places
/// where a thread waits for another's work; plain exclusion is `Synchronization.Mutex`.
public final class Monitor: @unchecked Sendable {
    // @unchecked: the two pthread objects are made for use by many threads and never move.
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    public init() {
        pthread_mutex_init(mutex, nil)
        Condition.initialize(condition)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    public func lock() { pthread_mutex_lock(mutex) }
    public func unlock() { pthread_mutex_unlock(mutex) }

    public func withLock<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Gives the lock up until `broadcast`; may also return for no reason. The caller holds the lock.
    public func wait() { pthread_cond_wait(condition, mutex) }

    /// As `wait`, at most for `seconds`; false when the time is over.
    public func wait(seconds: Double) -> Bool { Condition.wait(condition, mutex, seconds) }

    /// Wakes one waiting thread.
    public func signal() { pthread_cond_signal(condition) }

    public func broadcast() { pthread_cond_broadcast(condition) }
}
