import MetadataStore
import Records
import Synchronization

/// A share of all inodes: their lock, and what is kept in memory of them. Who holds the lock may change the records of these
/// inodes: their own, and those of their entries, extents, inline content and attributes.
final class Stripe: @unchecked Sendable {
    // @unchecked: everything but `epoch` is used only by the thread that holds `mutex`.
    private let mutex = Lock()
    /// Raised after each change of an inode of this stripe is visible in the store and before the lock is let go: who read
    /// records without the lock and sees the same number under it (or after) read one state.
    let epoch = Atomic<UInt64>(0)
    var cache: InodeCache
    var counts = LookupCounts()
    /// For the changes of whoever holds the lock.
    let batch = RecordBatch()
    /// Extents that a change is about.
    var extents: [Extent] = []
    /// Bytes that a change is about.
    var bytes = ByteWriter(capacityBytes: 64)

    static let count = 256

    init(cacheLimit: Int) { cache = InodeCache(limit: cacheLimit) }

    func lock() { mutex.lock() }
    func unlock() { mutex.unlock() }

    static func index(of inode: UInt64) -> Int { Int(truncatingIfNeeded: (inode &* 0x9e37_79b9_7f4a_7c15) >> 56) }
}

/// Stripes to be held together: a bit each, so that there are no duplicates and the order of locking is that of the numbers.
struct StripeSet {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    mutating func insert(inode: UInt64) {
        let index = Stripe.index(of: inode)
        let bit = UInt64(1) << UInt64(index & 63)
        switch index >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    /// Calls `body` with the number of each stripe, in ascending order.
    func forEach(_ body: (Int) -> Void) {
        Self.forEach(words.0, 0, body)
        Self.forEach(words.1, 64, body)
        Self.forEach(words.2, 128, body)
        Self.forEach(words.3, 192, body)
    }

    private static func forEach(_ word: UInt64, _ base: Int, _ body: (Int) -> Void) {
        var rest = word
        while rest != 0 {
            body(base + rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }
}
