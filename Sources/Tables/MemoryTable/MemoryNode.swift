import Records
import Synchronization

/// A node of the skip list, in arena memory. Everything but the value and the links is written before the node is linked and
/// never changes; links and the value are stored with release and loaded with acquire, so that who finds a node, or a value,
/// finds it whole.
///
/// `value u64 @0, dirtyNext u64 @8, first u64 @16, second u64 @24, kind u8 @32, height u8 @33, nameCount u8 @34,
/// hash u32 @36, links u64 x height @40, name`. What a search looks at starts at 16 and is in one cache line, as nodes start
/// 16 bytes before a multiple of 32.
struct MemoryNode {
    let base: UnsafeMutableRawPointer

    static let maximumHeight = 12
    private static let linksOffset = 40

    static func sizeBytes(height: Int, nameCount: Int) -> Int { linksOffset + height * 8 + nameCount }

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always) init?(_ word: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: word) else { return nil }
        self.base = base
    }

    @inline(__always) var word: UInt { UInt(bitPattern: base) }

    func initialize(_ key: RecordKey, height: Int, hash: UInt32, value: UInt) {
        base.bindMemory(to: Atomic<UInt>.self, capacity: 1).initialize(to: Atomic(value))
        base.storeBytes(of: key.first, toByteOffset: 16, as: UInt64.self)
        base.storeBytes(of: key.second, toByteOffset: 24, as: UInt64.self)
        base.storeBytes(of: 0, toByteOffset: 8, as: UInt.self)
        base.storeBytes(of: key.kind, toByteOffset: 32, as: UInt8.self)
        base.storeBytes(of: UInt8(height), toByteOffset: 33, as: UInt8.self)
        base.storeBytes(of: UInt8(key.name.count), toByteOffset: 34, as: UInt8.self)
        base.storeBytes(of: hash, toByteOffset: 36, as: UInt32.self)
        let links = (base + Self.linksOffset).bindMemory(to: Atomic<UInt>.self, capacity: height)
        for level in 0..<height { (links + level).initialize(to: Atomic(0)) }
        if let name = key.name.baseAddress { (base + Self.linksOffset + height * 8).copyMemory(from: name, byteCount: key.name.count) }
    }

    @inline(__always) var kind: UInt8 { base.load(fromByteOffset: 32, as: UInt8.self) }
    @inline(__always) var first: UInt64 { base.load(fromByteOffset: 16, as: UInt64.self) }
    @inline(__always) var second: UInt64 { base.load(fromByteOffset: 24, as: UInt64.self) }
    @inline(__always) var height: Int { Int(base.load(fromByteOffset: 33, as: UInt8.self)) }
    @inline(__always) var hash: UInt32 { base.load(fromByteOffset: 36, as: UInt32.self) }

    @inline(__always) var name: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: base + Self.linksOffset + height * 8, count: Int(base.load(fromByteOffset: 34, as: UInt8.self)))
    }

    @inline(__always) var key: RecordKey { RecordKey(kind: kind, first: first, second: second, name: name) }

    /// As `order(key, other)`, without loading more than it must.
    @inline(__always) func order(to other: RecordKey) -> Int {
        let kind = kind
        if kind != other.kind { return kind < other.kind ? -1 : 1 }
        let first = first
        if first != other.first { return first < other.first ? -1 : 1 }
        let second = second
        if second != other.second { return second < other.second ? -1 : 1 }
        let name = name
        return nameOrder(name.baseAddress, name.count, other.name.baseAddress, other.name.count)
    }

    // Links and value

    @inline(__always) func link(_ level: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
        (base + (Self.linksOffset + level * 8)).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    @inline(__always) func next(_ level: Int) -> MemoryNode? { MemoryNode(link(level).pointee.load(ordering: .acquiring)) }

    @inline(__always) func setNext(_ level: Int, _ word: UInt) { link(level).pointee.store(word, ordering: .releasing) }

    /// Address of a value block (`count u32`, bytes), or `MemoryNode.deletion`.
    @inline(__always) var value: UInt {
        get { base.assumingMemoryBound(to: Atomic<UInt>.self).pointee.load(ordering: .acquiring) }
        nonmutating set { base.assumingMemoryBound(to: Atomic<UInt>.self).pointee.store(newValue, ordering: .releasing) }
    }

    /// A value word that says: deleted. No block has an odd address.
    static let deletion: UInt = 1

    /// Nil for a deletion.
    @inline(__always) var content: UnsafeRawBufferPointer? { Self.content(of: value) }

    @inline(__always) static func content(of word: UInt) -> UnsafeRawBufferPointer? {
        guard word != deletion, let block = UnsafeRawPointer(bitPattern: word) else { return nil }
        return UnsafeRawBufferPointer(start: block + 4, count: Int(block.load(as: UInt32.self)))
    }

    /// The mutator's own: next node of the list of changed nodes, 0 if this one is not on it, 1 at the list's end.
    @inline(__always) var dirtyNext: UInt {
        get { base.load(fromByteOffset: 8, as: UInt.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: UInt.self) }
    }
}
