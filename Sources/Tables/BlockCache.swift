import Synchronization

/// What a cache has done so far.
public struct BlockCacheStatistics: Sendable, Equatable {
    public var hits: UInt64 = 0
    public var misses: UInt64 = 0
    public var sizeBytes = 0
    public var blockCount = 0
}

/// Opened blocks of tables, bounded by bytes and shared by all readers. A block that was evicted lives on as long as
/// somebody reads it. Thread-safe; a hit takes one short lock of its shard and allocates nothing.
///
/// Eviction is CLOCK: a hit marks a block, the hand clears marks and takes the first block without one. New blocks come
/// without a mark, so that one long scan does not drive out what is used again and again.
public final class BlockCache: Sendable {
    public let capacityBytes: Int
    private let shards: [CacheShard]
    private static let shardCountLog2 = 4
    private let owners = Atomic<UInt64>(0)

    public init(capacityBytes: Int) {
        self.capacityBytes = capacityBytes
        let count = 1 << Self.shardCountLog2
        shards = (0..<count).map { _ in CacheShard(capacityBytes: capacityBytes / count) }
    }

    public var statistics: BlockCacheStatistics {
        var sum = BlockCacheStatistics()
        for shard in shards {
            shard.state.withLock {
                sum.hits += $0.hits
                sum.misses += $0.misses
                sum.sizeBytes += $0.sizeBytes
                sum.blockCount += $0.count
            }
        }
        return sum
    }

    /// A number that names one table's blocks here, never used before.
    func makeOwner() -> UInt64 { owners.wrappingAdd(1, ordering: .relaxed).newValue }

    @inline(__always)
    private func hash(_ owner: UInt64, _ offset: UInt64) -> UInt64 { KeyHash.mix(owner << 40 ^ offset &+ KeyHash.golden) }

    func find(_ owner: UInt64, _ offset: UInt64) -> RecordBlock? {
        let hash = hash(owner, offset)
        return shards[Int(hash >> UInt64(64 - Self.shardCountLog2))].state.withLock { $0.find(owner, offset, hash) }
    }

    func insert(_ block: RecordBlock, _ owner: UInt64, _ offset: UInt64) {
        let hash = hash(owner, offset)
        shards[Int(hash >> UInt64(64 - Self.shardCountLog2))].state.withLock { $0.insert(block, owner, offset, hash) }
    }

    /// Forgets all blocks of a table that is gone.
    func remove(owner: UInt64) {
        for shard in shards { shard.state.withLock { $0.remove(owner: owner) } }
    }
}

private final class CacheShard: Sendable {
    let state: Mutex<CacheShardState>

    init(capacityBytes: Int) { state = Mutex(CacheShardState(capacityBytes: capacityBytes)) }
}

/// Slots in an array, found through chains that start in hash buckets. Index -1 is none.
private struct CacheShardState: Sendable {
    private struct Slot: Sendable {
        var owner: UInt64
        var offset: UInt64
        var block: RecordBlock?
        /// Next slot of the bucket, or of the list of free slots.
        var next: Int32
        var isReferenced = false
    }

    private let capacityBytes: Int
    private var slots: [Slot] = []
    private var buckets: [Int32]
    private var firstFree: Int32 = -1
    private var hand = 0
    private(set) var sizeBytes = 0
    private(set) var count = 0
    private(set) var hits: UInt64 = 0
    private(set) var misses: UInt64 = 0

    init(capacityBytes: Int) {
        self.capacityBytes = capacityBytes
        buckets = Array(repeating: -1, count: 64)
    }

    private func bucket(_ hash: UInt64) -> Int { Int(hash & UInt64(buckets.count - 1)) }

    mutating func find(_ owner: UInt64, _ offset: UInt64, _ hash: UInt64) -> RecordBlock? {
        var index = buckets[bucket(hash)]
        while index >= 0 {
            let at = Int(index)
            if slots[at].offset == offset, slots[at].owner == owner {
                slots[at].isReferenced = true
                hits += 1
                return slots[at].block
            }
            index = slots[at].next
        }
        misses += 1
        return nil
    }

    mutating func insert(_ block: RecordBlock, _ owner: UInt64, _ offset: UInt64, _ hash: UInt64) {
        let size = block.memoryBytes
        // Two readers can miss the same block at once; the first one's stays. A block larger than the shard never enters.
        if size > capacityBytes || contains(owner, offset, hash) { return }
        while sizeBytes + size > capacityBytes, count > 0 { evictOne() }
        if count >= buckets.count { rehash() }
        let at = bucket(hash)
        let slot = Slot(owner: owner, offset: offset, block: block, next: buckets[at])
        if firstFree >= 0 {
            let index = firstFree
            firstFree = slots[Int(index)].next
            slots[Int(index)] = slot
            buckets[at] = index
        } else {
            slots.append(slot)
            buckets[at] = Int32(slots.count - 1)
        }
        sizeBytes += size
        count += 1
    }

    private func contains(_ owner: UInt64, _ offset: UInt64, _ hash: UInt64) -> Bool {
        var index = buckets[bucket(hash)]
        while index >= 0 {
            if slots[Int(index)].offset == offset, slots[Int(index)].owner == owner { return true }
            index = slots[Int(index)].next
        }
        return false
    }

    private mutating func evictOne() {
        while true {
            if hand >= slots.count { hand = 0 }
            defer { hand += 1 }
            if slots[hand].block == nil { continue }
            if slots[hand].isReferenced {
                slots[hand].isReferenced = false
                continue
            }
            free(hand)
            return
        }
    }

    private mutating func free(_ at: Int) {
        guard let block = slots[at].block else { return }
        unlink(at)
        sizeBytes -= block.memoryBytes
        count -= 1
        slots[at].block = nil
        slots[at].next = firstFree
        firstFree = Int32(at)
    }

    private mutating func unlink(_ at: Int) {
        let bucket = bucket(hash(slots[at]))
        if buckets[bucket] == Int32(at) {
            buckets[bucket] = slots[at].next
            return
        }
        var index = Int(buckets[bucket])
        while Int(slots[index].next) != at { index = Int(slots[index].next) }
        slots[index].next = slots[at].next
    }

    private func hash(_ slot: Slot) -> UInt64 { KeyHash.mix(slot.owner << 40 ^ slot.offset &+ KeyHash.golden) }

    private mutating func rehash() {
        buckets = Array(repeating: -1, count: buckets.count * 2)
        for at in slots.indices where slots[at].block != nil {
            let bucket = bucket(hash(slots[at]))
            slots[at].next = buckets[bucket]
            buckets[bucket] = Int32(at)
        }
    }

    mutating func remove(owner: UInt64) {
        for at in slots.indices where slots[at].block != nil && slots[at].owner == owner { free(at) }
    }
}
