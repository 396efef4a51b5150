import Glibc
import Records
import Synchronization

/// The hash index of a memory table: open addressing with linear probing. Most lookups of a memory table find nothing; here
/// that costs one touched cache line instead of a walk down the skip list.
///
/// A slot is 0 or a node's address with 16 bits of its hash on top. One mutator, any number of readers. A grown index is a
/// new one, published whole; the old ones stay until the object goes, since readers may still walk them.
final class MemoryIndex: @unchecked Sendable {
    // @unchecked: slots and the address of the current array are atomic; the rest is the mutator's.
    private let current: Atomic<UInt>
    private var arrays: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    /// Zero pages that are touched as they fill. Enough for a usual memory table, so that growing is rare.
    private static let initialSlotCount = 1 << 19
    static let sizeBytesPerRecord = 16

    private static let addressMask: UInt = (1 << 48) - 1

    init() {
        current = Atomic(0)
        current.store(Self.makeArray(&arrays, slotCount: Self.initialSlotCount), ordering: .releasing)
    }

    deinit {
        for array in arrays { munmap(array.baseAddress, array.count) }
    }

    /// `mask u64`, then the slots.
    private static func makeArray(_ arrays: inout [UnsafeMutableRawBufferPointer], slotCount: Int) -> UInt {
        let memory = Arena.map((8 + slotCount * 8 + 4095) & ~4095)
        memory.storeBytes(of: UInt(slotCount - 1), as: UInt.self)
        arrays.append(memory)
        return UInt(bitPattern: memory.baseAddress!)
    }

    @inline(__always)
    private static func slot(_ array: UnsafeMutableRawPointer, _ position: UInt) -> UnsafeMutablePointer<Atomic<UInt>> {
        (array + 8 + Int(position) * 8).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    @inline(__always)
    func find(_ key: RecordKey, hash: UInt64) -> MemoryNode? {
        let array = UnsafeMutableRawPointer(bitPattern: current.load(ordering: .acquiring))!
        let mask = array.load(as: UInt.self)
        let tag = UInt(hash >> 48)
        var position = UInt(hash & 0xffff_ffff) & mask
        while true {
            let word = Self.slot(array, position).pointee.load(ordering: .acquiring)
            if word == 0 { return nil }
            if word >> 48 == tag, let node = MemoryNode(word & Self.addressMask), node.order(to: key) == 0 { return node }
            position = (position &+ 1) & mask
        }
    }

    func insert(_ node: MemoryNode, hash: UInt64) {
        precondition(node.word & ~Self.addressMask == 0, "user addresses have 48 bits at most")
        var array = UnsafeMutableRawPointer(bitPattern: current.load(ordering: .relaxed))!
        let slotCount = Int(array.load(as: UInt.self)) + 1
        if (used + 1) * 4 > slotCount * 3 { array = grow(array, slotCount) }
        Self.place(array, node.word | UInt(hash >> 48) << 48, hash: UInt32(truncatingIfNeeded: hash))
        used += 1
    }

    private static func place(_ array: UnsafeMutableRawPointer, _ word: UInt, hash: UInt32) {
        let mask = array.load(as: UInt.self)
        var position = UInt(hash) & mask
        while slot(array, position).pointee.load(ordering: .relaxed) != 0 { position = (position &+ 1) & mask }
        slot(array, position).pointee.store(word, ordering: .releasing)
    }

    private func grow(_ old: UnsafeMutableRawPointer, _ slotCount: Int) -> UnsafeMutableRawPointer {
        let address = Self.makeArray(&arrays, slotCount: slotCount * 2)
        let new = UnsafeMutableRawPointer(bitPattern: address)!
        for position in 0..<UInt(slotCount) {
            let word = Self.slot(old, position).pointee.load(ordering: .relaxed)
            if let node = MemoryNode(word & Self.addressMask) { Self.place(new, word, hash: node.hash) }
        }
        current.store(address, ordering: .releasing)
        return new
    }

    // Test support

    var slotsInUse: Int { used }
}
