import Synchronization

/// How often each inode is open for writing. Thread-safe.
final class WriterCounts: Sendable {
    private let counts = Mutex<[UInt64: Int]>([:])
    /// Of all inodes, so that the usual answer costs nothing.
    private let total = Atomic<Int>(0)

    var isEmpty: Bool { total.load(ordering: .sequentiallyConsistent) == 0 }

    func begin(_ inode: UInt64) {
        total.wrappingAdd(1, ordering: .sequentiallyConsistent)
        counts.withLock { $0[inode, default: 0] += 1 }
    }

    func end(_ inode: UInt64) {
        let wasOpen = counts.withLock { counts -> Bool in
            guard let count = counts[inode] else { return false }
            counts[inode] = count > 1 ? count - 1 : nil
            return true
        }
        if wasOpen { total.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
    }

    func contains(_ inode: UInt64) -> Bool { !isEmpty && counts.withLock { $0[inode] != nil } }
}
