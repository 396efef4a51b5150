import Glibc
public import Records
import Synchronization

/// What a memory table knows of a key. The pointer is valid as long as the table.
public enum MemoryLookup {
    case absent
    case deleted
    case value(UnsafeRawBufferPointer)
}

/// The newest records, sorted, in memory: a skip list (Pugh 1990) in an arena, with a hash index beside it for lookups of
/// single keys.
///
/// Threads: one mutator at a time (put, delete, capture), serialised by the caller; any number of readers at the same time,
/// without locks. Nodes are never unlinked and values never changed in place: a new value is a new block that one atomic
/// store swaps in. Memory is given back with the object, so a reader that holds the object may keep pointers.
///
/// Invariants: each level's list is sorted and a part of the one below; the index holds exactly the nodes of level 0; the
/// list of changed nodes holds each node whose value was set since the last capture once.
public final class MemoryTable: @unchecked Sendable {
    // @unchecked: the plain fields are the mutator's alone; what readers use is atomic, or never changes once reachable.
    // The arena is behind a pointer, since a class's own variables are checked for exclusive access at run time.
    private let arena: UnsafeMutablePointer<Arena>
    let head: MemoryNode
    /// Levels in use. Readers may see an old one: lower levels hold everything.
    private let height = Atomic<Int>(1)
    private let records = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    let index: MemoryIndex
    private var randomState: UInt64 = 0x2545_f491_4f6c_dd1d
    /// Where the last insert of a kind was: per level the node before it. The next one is often near.
    private var fingers: UnsafeMutablePointer<MemoryNode>
    private static let fingerCount = 16
    private var dirtyHead: UInt = 1

    public init() {
        arena = .allocate(capacity: 1)
        arena.initialize(to: Arena())
        let memory = arena.pointee.allocateNode(MemoryNode.sizeBytes(height: MemoryNode.maximumHeight, nameCount: 0))
        head = MemoryNode(memory)
        head.initialize(
            RecordKey(kind: 0, first: 0), height: MemoryNode.maximumHeight, hash: 0, value: MemoryNode.deletion)
        index = MemoryIndex()
        fingers = .allocate(capacity: Self.fingerCount * MemoryNode.maximumHeight)
        fingers.initialize(repeating: head, count: Self.fingerCount * MemoryNode.maximumHeight)
        bytes.store(arena.pointee.usedBytes, ordering: .relaxed)
    }

    deinit {
        fingers.deallocate()
        arena.deinitialize(count: 1)
        arena.deallocate()
    }

    /// Records and deletions.
    public var count: Int { records.load(ordering: .relaxed) }
    /// Memory that the records take.
    public var sizeBytes: Int { bytes.load(ordering: .relaxed) + count * MemoryIndex.sizeBytesPerRecord }

    // MARK: Mutator

    /// Sets a value of at most `TableLimit.valueSizeBytes`.
    public func put(_ key: RecordKey, _ value: UnsafeRawBufferPointer) {
        precondition(value.count <= TableLimit.valueSizeBytes && key.name.count <= RecordKey.maximumNameSizeBytes)
        set(key, value: value)
    }

    /// Marks a key as deleted, whether or not it is here.
    public func delete(_ key: RecordKey) {
        precondition(key.name.count <= RecordKey.maximumNameSizeBytes)
        set(key, value: nil)
    }

    private func set(_ key: RecordKey, value: UnsafeRawBufferPointer?) {
        let hash = KeyHash.whole(key)
        if let node = index.find(key, hash: hash) {
            node.value = makeValue(value)
            markDirty(node)
        } else {
            markDirty(insert(key, hash: hash, value: value))
        }
        bytes.store(arena.pointee.usedBytes, ordering: .relaxed)
    }

    private func makeValue(_ value: UnsafeRawBufferPointer?) -> UInt {
        guard let value else { return MemoryNode.deletion }
        let block = arena.pointee.allocate(4 + value.count)
        block.storeBytes(of: UInt32(value.count), as: UInt32.self)
        if let source = value.baseAddress { (block + 4).copyMemory(from: source, byteCount: value.count) }
        return UInt(bitPattern: block)
    }

    private func insert(_ key: RecordKey, hash: UInt64, value: UnsafeRawBufferPointer?) -> MemoryNode {
        let newHeight = randomHeight()
        if newHeight > height.load(ordering: .relaxed) { height.store(newHeight, ordering: .relaxed) }
        let finger = fingers + Int(key.kind & UInt8(Self.fingerCount - 1)) * MemoryNode.maximumHeight
        findPlace(key, finger)
        let node = MemoryNode(arena.pointee.allocateNode(MemoryNode.sizeBytes(height: newHeight, nameCount: key.name.count)))
        node.initialize(key, height: newHeight, hash: UInt32(truncatingIfNeeded: hash), value: makeValue(value))
        for level in 0..<newHeight {
            var before = finger[level]
            // Above the level where the search started the finger may lag behind inserts from other fingers.
            while let next = before.next(level), next.order(to: key) < 0 { before = next }
            node.setNext(level, before.link(level).pointee.load(ordering: .relaxed))
            before.setNext(level, node.word)
            finger[level] = node
        }
        index.insert(node, hash: hash)
        records.wrappingAdd(1, ordering: .relaxed)
        return node
    }

    /// Sets `finger` to the last nodes before `key`, exactly so from level 0 up to the level where it began; above that to
    /// nodes before `key`. Keeps: a finger's node of a level is never after that of the level below.
    private func findPlace(_ key: RecordKey, _ finger: UnsafeMutablePointer<MemoryNode>) {
        let top = height.load(ordering: .relaxed) - 1
        var level = 0
        var node = head
        while true {
            let candidate = finger[level]
            if candidate.base == head.base || candidate.order(to: key) < 0 {
                // Near enough: the rest is a walk on this level, or there is no level above.
                let next = candidate.next(level)
                if level == top || next == nil || next!.order(to: key) > 0 {
                    node = candidate
                    break
                }
            } else if level == top {
                break
            }
            level += 1
        }
        while true {
            while let next = node.next(level), next.order(to: key) < 0 { node = next }
            finger[level] = node
            if level == 0 { return }
            level -= 1
        }
    }

    /// h with probability 3/4^h.
    private func randomHeight() -> Int {
        randomState ^= randomState << 13
        randomState ^= randomState >> 7
        randomState ^= randomState << 17
        let zeros = (randomState &* KeyHash.golden).leadingZeroBitCount
        return min(1 + zeros / 2, MemoryNode.maximumHeight)
    }

    private func markDirty(_ node: MemoryNode) {
        if node.dirtyNext != 0 { return }
        node.dirtyNext = dirtyHead
        dirtyHead = node.word
    }

    /// True if something was set since the last capture.
    public var hasChanges: Bool { dirtyHead != 1 }

    /// Appends the present state of every record that was set since the last capture, in the flat form of `RecordBatch`,
    /// in no order.
    public func capture(into writer: inout ByteWriter) {
        while let node = dirtyHead == 1 ? nil : MemoryNode(dirtyHead) {
            if let value = node.content { writer.appendPut(node.key, value) } else { writer.appendDelete(node.key) }
            dirtyHead = node.dirtyNext
            node.dirtyNext = 0
        }
    }

    /// Forgets which records were set: for those that came from what is durable already.
    public func discardChanges() {
        while let node = dirtyHead == 1 ? nil : MemoryNode(dirtyHead) {
            dirtyHead = node.dirtyNext
            node.dirtyNext = 0
        }
    }

    // MARK: Readers

    public func lookup(_ key: RecordKey) -> MemoryLookup { lookup(key, hash: KeyHash.whole(key)) }

    @inline(__always)
    func lookup(_ key: RecordKey, hash: UInt64) -> MemoryLookup {
        guard let node = index.find(key, hash: hash) else { return .absent }
        guard let content = node.content else { return .deleted }
        return .value(content)
    }

    /// The first node at or after `key`.
    func lowerBound(_ key: RecordKey) -> MemoryNode? {
        var node = head
        var level = height.load(ordering: .relaxed) - 1
        var above: UInt = 0
        while true {
            let next = node.next(level)
            // What stopped the walk one level up stops it here too: no need to compare again.
            if let next, next.word != above, next.order(to: key) < 0 {
                node = next
                continue
            }
            if level == 0 { return next }
            above = next?.word ?? 0
            level -= 1
        }
    }

    public func cursor() -> MemoryCursor { MemoryCursor(table: self) }
}

/// Walks a memory table in order, while it may be changed: it shows each record as it is at that moment.
public struct MemoryCursor {
    private let table: MemoryTable
    private var node: MemoryNode?
    private var word: UInt = 0

    init(table: MemoryTable) { self.table = table }

    /// Moves to the first record at or after `key`; false at the end.
    public mutating func seek(_ key: RecordKey) -> Bool { set(table.lowerBound(key)) }

    /// Moves to the first record of all.
    public mutating func seekToFirst() -> Bool { set(table.head.next(0)) }

    /// Moves on; false at the end.
    public mutating func next() -> Bool { set(node?.next(0)) }

    private mutating func set(_ new: MemoryNode?) -> Bool {
        node = new
        guard let new else { return false }
        word = new.value
        return true
    }

    public var key: RecordKey { node!.key }
    /// Nil for a deletion.
    public var value: UnsafeRawBufferPointer? { MemoryNode.content(of: word) }
}
