import MetadataStore

/// Decoded inodes of one stripe, four ways a set, the one not used for longest goes first (by one bit of age).
/// Grows up to its limit. Not thread-safe.
struct InodeCache: ~Copyable {
    struct Entry {
        /// 0: empty.
        var id: UInt64
        /// Covers the last change of the inode, or of its entries or content.
        var token: CommitToken
        var wasUsed: Bool
        var inode: Inode
    }

    private static let ways = 4
    private var entries: UnsafeMutablePointer<Entry>
    private var setCount: Int
    private let maximumSetCount: Int
    /// Covers the changes of every inode that was here and is not any more.
    private(set) var evictedToken: CommitToken = 0

    init(limit: Int) {
        var sets = 1
        while sets * 2 * Self.ways <= limit { sets *= 2 }
        maximumSetCount = sets
        setCount = min(4, sets)
        entries = Self.makeEntries(setCount)
    }

    deinit {
        entries.deinitialize(count: setCount * Self.ways)
        entries.deallocate()
    }

    private static func makeEntries(_ setCount: Int) -> UnsafeMutablePointer<Entry> {
        let new = UnsafeMutablePointer<Entry>.allocate(capacity: setCount * ways)
        let nothing = Inode(mode: 0, linkCount: 0, uid: 0, gid: 0, time: Timestamp(seconds: 0))
        new.initialize(repeating: Entry(id: 0, token: 0, wasUsed: false, inode: nothing), count: setCount * ways)
        return new
    }

    private func firstEntry(_ id: UInt64) -> Int {
        (Int(truncatingIfNeeded: (id &* 0x9e37_79b9_7f4a_7c15) >> 20) & (setCount - 1)) * Self.ways
    }

    private func find(_ id: UInt64) -> Int? {
        let first = firstEntry(id)
        for index in first..<first + Self.ways where entries[index].id == id { return index }
        return nil
    }

    mutating func inode(_ id: UInt64) -> Inode? {
        guard let index = find(id) else { return nil }
        entries[index].wasUsed = true
        return entries[index].inode
    }

    /// Covers the last change of the inode, as far as this process made it.
    func token(_ id: UInt64) -> CommitToken { find(id).map { entries[$0].token } ?? evictedToken }

    /// - Parameter token: nil if it only came from the store, or changed in a way that no fsync waits for.
    mutating func put(_ id: UInt64, _ inode: Inode, token: CommitToken?) {
        if let index = find(id) {
            entries[index].inode = inode
            entries[index].wasUsed = true
            if let token { entries[index].token = token }
            return
        }
        let index = placeForNew(id)
        // What was evicted may have been this inode: its last change is at most that far.
        entries[index] = Entry(id: id, token: token ?? evictedToken, wasUsed: true, inode: inode)
    }

    mutating func remove(_ id: UInt64) {
        guard let index = find(id) else { return }
        evictedToken = max(evictedToken, entries[index].token)
        entries[index].id = 0
    }

    private mutating func placeForNew(_ id: UInt64) -> Int {
        while true {
            let first = firstEntry(id)
            for index in first..<first + Self.ways where entries[index].id == 0 { return index }
            if setCount < maximumSetCount {
                grow()
                continue
            }
            var victim = first
            for index in first..<first + Self.ways {
                if !entries[index].wasUsed {
                    victim = index
                    break
                }
                entries[index].wasUsed = false
            }
            evictedToken = max(evictedToken, entries[victim].token)
            return victim
        }
    }

    private mutating func grow() {
        let old = entries
        let oldCount = setCount * Self.ways
        setCount *= 2
        entries = Self.makeEntries(setCount)
        // Twice as many sets: what shared one of four places has four or more again.
        for index in 0..<oldCount where old[index].id != 0 {
            let first = firstEntry(old[index].id)
            for place in first..<first + Self.ways where entries[place].id == 0 {
                entries[place] = old[index]
                break
            }
        }
        old.deinitialize(count: oldCount)
        old.deallocate()
    }
}
