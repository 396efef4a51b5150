import Syscalls
import SystemPackage

/// Searches that wait for the kernel to write back, for the transport whose workers must not wait: a thread of its own does them, one
/// after another.
final class PendingSeeks: @unchecked Sendable {
    // Unchecked: the fields are touched only with `monitor` held.
    private var queue: [PendingSeek] = []
    private var isBusy = false
    private var isClosed = false
    private let monitor = Monitor()

    /// False if the session ends: then nothing becomes of it.
    func add(_ seek: PendingSeek) -> Bool {
        monitor.withLock {
            guard !isClosed else { return false }
            queue.append(seek)
            monitor.broadcast()
            return true
        }
    }

    /// Calls `body` with each until `close`.
    func run(_ body: (PendingSeek) -> Void) {
        while true {
            let next: PendingSeek? = monitor.withLock {
                isBusy = false
                monitor.broadcast()
                while queue.isEmpty && !isClosed { monitor.wait() }
                guard !queue.isEmpty else { return nil }
                isBusy = true
                return queue.removeFirst()
            }
            guard let next else { return }
            body(next)
        }
    }

    /// No more are taken; returns when those that there are have been answered. While workers still are: one that hung in the kernel
    /// for want of an answered write would keep the process from its end.
    func close() {
        monitor.withLock {
            isClosed = true
            monitor.broadcast()
            while isBusy { monitor.wait() }
        }
    }
}
