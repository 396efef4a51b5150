import Syscalls
import SystemPackage

/// Sends notifications to the kernel from a thread of its own, in the order in which they were queued.
///
/// Never from a handler: the kernel may hold a lock that the handler's own request must give up first, or wait for a write
/// that the same thread should answer.
public final class Notifier: @unchecked Sendable {
    // Unchecked: the fields are touched only with `monitor` held.
    private var queue: [Notification] = []
    /// Notifications that were queued, and those of them that the kernel has.
    private var postedCount: UInt64 = 0
    private var sentCount: UInt64 = 0
    private var ended = false
    private var dropped: UInt64 = 0

    private let monitor = Monitor()
    private let capacity: Int
    private let send: @Sendable (UnsafeRawBufferPointer) throws(Errno) -> Void

    init(capacity: Int = 65536, send: @escaping @Sendable (UnsafeRawBufferPointer) throws(Errno) -> Void) {
        self.capacity = capacity
        self.send = send
    }

    /// Queues it; false if the queue is full or the session is over. What must not be lost waits with `drain` and tries again.
    @discardableResult
    public func post(_ notification: Notification) -> Bool {
        monitor.withLock {
            guard !ended, queue.count < capacity else {
                dropped += 1
                return false
            }
            queue.append(notification)
            postedCount += 1
            monitor.broadcast()
            return true
        }
    }

    /// As `post`; where the queue is full it waits. Nothing is sent once the session is over. Not from a handler.
    public func postWaiting(_ notification: Notification) {
        while !post(notification) {
            if monitor.withLock({ ended }) { return }
            drain()
        }
    }

    /// Makes the kernel ask for the attributes of `node` again, before this returns. Of all notifications only this one may be
    /// sent from a handler: it touches no page of the file, and so waits for nothing that another request would have to end.
    public func invalidateAttributes(_ node: NodeID) {
        // ENOENT: the kernel does not know the node, and so has nothing cached.
        Notification.invalidateInode(node, offset: -1, length: 0).encoded().withBytes { bytes in try? send(bytes) }
    }

    /// Waits until everything queued so far has been sent, or the session is over. Not from a handler.
    public func drain() {
        monitor.withLock {
            // Not until the queue is empty: others may post without end.
            let target = postedCount
            while !ended && sentCount < target { monitor.wait() }
        }
    }

    /// Number of notifications that found no room.
    public var droppedCount: UInt64 { monitor.withLock { dropped } }

    /// Sends until `end` is called.
    package func run() {
        var sent = 0
        while true {
            let batch: [Notification]? = monitor.withLock {
                sentCount += UInt64(sent)
                monitor.broadcast()
                while queue.isEmpty && !ended { monitor.wait() }
                if ended { return nil }
                defer { queue = [] }
                return queue
            }
            guard let batch else { return }
            sent = batch.count
            for notification in batch {
                // ENOENT: the kernel does not know the node or name, so there is nothing to invalidate. Other errors mean
                // that the mount goes away.
                notification.encoded().withBytes { bytes in try? send(bytes) }
            }
        }
    }

    package func end() {
        monitor.withLock {
            ended = true
            monitor.broadcast()
        }
    }
}
