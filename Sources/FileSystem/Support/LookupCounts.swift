/// How often each inode was looked up and not yet forgotten: 12 bytes an inode, open addressing with linear probing.
/// Not thread-safe.
struct LookupCounts {
    /// The upper bit of a count: the inode has no name any more.
    private static let unlinkedBit: UInt32 = 1 << 31
    /// When a count comes here, this much of it goes to `spilled`.
    private static let spillSize: UInt32 = 1 << 30
    private static let minimumCapacity = 8

    /// 0: empty.
    private var keys: [UInt64] = []
    private var counts: [UInt32] = []
    private(set) var inodeCount = 0
    /// What does not fit 30 bits; almost always empty.
    private var spilled: [UInt64: UInt64] = [:]

    func isRetained(_ inode: UInt64) -> Bool { inodeCount > 0 && find(inode) != nil }

    /// Adds those with a count.
    func appendInodes(to list: inout [InodeID]) { for key in keys where key != 0 { list.append(InodeID(key)) } }

    mutating func retain(_ inode: UInt64) {
        if let slot = find(inode) {
            counts[slot] += 1
            if counts[slot] & ~Self.unlinkedBit == Self.spillSize * 2 - 1 {
                counts[slot] -= Self.spillSize
                spilled[inode, default: 0] += UInt64(Self.spillSize)
            }
            return
        }
        if (inodeCount + 1) * 8 > keys.count * 7 { resize(to: max(Self.minimumCapacity, keys.count * 2)) }
        insert(inode, 1)
        inodeCount += 1
    }

    /// The inode has lost its last name (or got one again).
    mutating func setUnlinked(_ inode: UInt64, _ isUnlinked: Bool) {
        guard let slot = find(inode) else { return }
        if isUnlinked { counts[slot] |= Self.unlinkedBit } else { counts[slot] &= ~Self.unlinkedBit }
    }

    /// Takes `count` away. True if it was the last and the inode has no name: it can be deleted.
    mutating func forget(_ inode: UInt64, _ count: UInt64) -> Bool {
        guard inodeCount > 0, let slot = find(inode) else { return false }
        let total = UInt64(counts[slot] & ~Self.unlinkedBit) + (spilled.isEmpty ? 0 : spilled[inode] ?? 0)
        let isUnlinked = counts[slot] & Self.unlinkedBit != 0
        if !spilled.isEmpty { spilled[inode] = nil }
        guard count < total else {
            remove(slot)
            return isUnlinked
        }
        var rest = total - count
        if rest >= UInt64(Self.spillSize) {
            spilled[inode] = rest - 1
            rest = 1
        }
        counts[slot] = UInt32(rest) | (isUnlinked ? Self.unlinkedBit : 0)
        return false
    }

    private func home(_ inode: UInt64) -> Int {
        Int(truncatingIfNeeded: (inode &* 0x9e37_79b9_7f4a_7c15) >> 24) & (keys.count - 1)
    }

    private func find(_ inode: UInt64) -> Int? {
        if keys.isEmpty { return nil }
        var slot = home(inode)
        while keys[slot] != 0 {
            if keys[slot] == inode { return slot }
            slot = (slot + 1) & (keys.count - 1)
        }
        return nil
    }

    private mutating func insert(_ inode: UInt64, _ count: UInt32) {
        var slot = home(inode)
        while keys[slot] != 0 { slot = (slot + 1) & (keys.count - 1) }
        keys[slot] = inode
        counts[slot] = count
    }

    /// Moves the entries behind it up, so that no search is cut off and no mark of deletion is needed.
    private mutating func remove(_ removed: Int) {
        let mask = keys.count - 1
        var hole = removed
        var slot = (hole + 1) & mask
        while keys[slot] != 0 {
            let distance = (slot - home(keys[slot])) & mask
            if distance >= (slot - hole) & mask {
                keys[hole] = keys[slot]
                counts[hole] = counts[slot]
                hole = slot
            }
            slot = (slot + 1) & mask
        }
        keys[hole] = 0
        counts[hole] = 0
        inodeCount -= 1
        if keys.count > 64, inodeCount * 8 < keys.count { resize(to: keys.count / 2) }
    }

    private mutating func resize(to capacity: Int) {
        let oldKeys = keys
        let oldCounts = counts
        keys = [UInt64](repeating: 0, count: capacity)
        counts = [UInt32](repeating: 0, count: capacity)
        for (key, count) in zip(oldKeys, oldCounts) where key != 0 { insert(key, count) }
    }
}
