import Glibc

/// A mutual exclusion that is taken and let go by separate calls, since operations hold several in an order of their own.
final class Lock: @unchecked Sendable {
    // @unchecked: a pthread mutex is made to be used from several threads; its address never changes.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        mutex = .allocate(capacity: 1)
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        // Spins briefly before it sleeps: what is done under these locks takes microseconds.
        pthread_mutexattr_settype(&attributes, CInt(PTHREAD_MUTEX_ADAPTIVE_NP))
        pthread_mutex_init(mutex, &attributes)
        pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func lock() {
        let result = pthread_mutex_lock(mutex)
        precondition(result == 0, "an own mutex can be locked")
    }

    func unlock() { pthread_mutex_unlock(mutex) }
}
