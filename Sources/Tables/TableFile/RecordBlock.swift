import Records

/// What a block says that does not hold together. Sealed bytes are the writer's, so this is a writer's bug or a stolen key:
/// still an error, never a trap.
struct Malformed: Error {}

/// An opened block of a table, immutable: records and restart points, and in an index block the filter before them.
///
/// `filter 64 x lines | records | restart u32 x n | n u32 | lines u32`; docs/format/tables.md.
public final class RecordBlock: @unchecked Sendable {
    // @unchecked: filled once before it is shared, then only read.
    private let base: UnsafeMutableRawPointer
    public let sizeBytes: Int
    /// Bytes of filter before the records.
    private(set) var filterLines = 0
    private(set) var recordsEnd = 0
    private(set) var restartCount = 0

    /// Zeros after the block, so that numbers can be loaded whole at its very end.
    static let slackBytes = 16

    /// A block of `sizeBytes` that `fill` writes and whose structure is checked after. Fails if it does not hold together.
    init(sizeBytes: Int, fill: (UnsafeMutableRawBufferPointer) -> Bool) throws(Malformed) {
        self.sizeBytes = sizeBytes
        base = .allocate(byteCount: sizeBytes + Self.slackBytes, alignment: 64)
        (base + sizeBytes).initializeMemory(as: UInt8.self, repeating: 0, count: Self.slackBytes)
        guard fill(UnsafeMutableRawBufferPointer(start: base, count: sizeBytes)) else { throw Malformed() }
        try parse()
    }

    deinit { base.deallocate() }

    private func parse() throws(Malformed) {
        guard sizeBytes >= 8 else { throw Malformed() }
        let lines = Int(loadUInt32(sizeBytes - 4))
        let count = Int(loadUInt32(sizeBytes - 8))
        let end = sizeBytes - 8 - count * 4
        guard end >= lines * BlockFilter.lineSizeBytes else { throw Malformed() }
        filterLines = lines
        restartCount = count
        recordsEnd = end
        // A block without restart points has no records either.
        guard count > 0 || end == lines * BlockFilter.lineSizeBytes else { throw Malformed() }
        for index in 0..<count {
            guard restart(index) >= lines * BlockFilter.lineSizeBytes, restart(index) < end else { throw Malformed() }
        }
        if count > 0, restart(0) != lines * BlockFilter.lineSizeBytes { throw Malformed() }
    }

    @inline(__always)
    private func loadUInt32(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(base).loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    func restart(_ index: Int) -> Int { Int(loadUInt32(recordsEnd + index * 4)) }

    @inline(__always) var bytes: UnsafeRawPointer { UnsafeRawPointer(base) }
    var recordsStart: Int { filterLines * BlockFilter.lineSizeBytes }
    var filter: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: recordsStart) }
}

/// Steps through the records of a block. Its pointers are valid as long as the block; it does not keep it alive itself.
struct BlockCursor {
    private var base: UnsafeRawPointer
    private var position: Int
    private let end: Int

    private(set) var kind: UInt8 = 0
    private(set) var first: UInt64 = 0
    private(set) var second: UInt64 = 0
    private var namePointer: UnsafeRawPointer
    private var nameCount = 0
    private var valuePointer: UnsafeRawPointer
    private var valueCount = 0
    private(set) var isDeletion = false

    init(_ block: RecordBlock) {
        base = block.bytes
        position = block.recordsStart
        end = block.recordsEnd
        namePointer = base
        valuePointer = base
    }

    @inline(__always) var key: RecordKey {
        RecordKey(kind: kind, first: first, second: second, name: UnsafeRawBufferPointer(start: namePointer, count: nameCount))
    }
    @inline(__always) var value: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: valuePointer, count: valueCount) }

    /// Moves to the next record; false at the end.
    mutating func next() throws(Malformed) -> Bool {
        if position >= end { return false }
        let tag = base.load(fromByteOffset: position, as: UInt8.self)
        position += 1
        let width = Int(tag >> 4)
        guard width <= 8 else { throw Malformed() }
        switch tag & RecordTag.sharedMask {
        case 0:
            kind = base.load(fromByteOffset: position, as: UInt8.self)
            position += 1
            first = number(width)
            second = try varint()
        case 1:
            first = first &+ number(width)
            second = try varint()
        case 2:
            second = second &+ number(width)
        default:
            guard width == 0 else { throw Malformed() }
        }
        nameCount = 0
        if tag & RecordTag.hasName != 0 {
            nameCount = Int(base.load(fromByteOffset: position, as: UInt8.self))
            position += 1
        }
        isDeletion = tag & RecordTag.deletion != 0
        valueCount = 0
        if !isDeletion {
            let count = try varint()
            guard count <= TableLimit.blockSizeBytes else { throw Malformed() }
            valueCount = Int(count)
        }
        // Up to here at most 31 bytes were read from where a record may start: past `end` lie the restart points' count,
        // the line count and the slack.
        guard position <= end, nameCount + valueCount <= end - position else { throw Malformed() }
        namePointer = base + position
        valuePointer = namePointer + nameCount
        position += nameCount + valueCount
        return true
    }

    /// `width` bytes, little-endian.
    @inline(__always)
    private mutating func number(_ width: Int) -> UInt64 {
        let raw = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        position += width
        return width == 8 ? raw : raw & ((1 << (UInt64(width) * 8)) &- 1)
    }

    @inline(__always)
    private mutating func varint() throws(Malformed) -> UInt64 {
        let byte = base.load(fromByteOffset: position, as: UInt8.self)
        if byte < 0x80 {
            position += 1
            return UInt64(byte)
        }
        return try longVarint()
    }

    private mutating func longVarint() throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = base.load(fromByteOffset: position, as: UInt8.self)
            position += 1
            if shift == 63, byte > 1 { throw Malformed() }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            if shift > 63 { throw Malformed() }
        }
        throw Malformed()
    }

    /// Moves to the first record at or after `key`; false if all are before it.
    mutating func seek(_ key: RecordKey, in block: RecordBlock) throws(Malformed) -> Bool {
        // The last restart point whose key is before `key`: the record, if it is here, follows it.
        var low = 0
        var high = block.restartCount
        while low < high {
            let middle = (low + high) / 2
            position = block.restart(middle)
            guard try next() else { throw Malformed() }
            if order(self.key, key) < 0 { low = middle + 1 } else { high = middle }
        }
        guard block.restartCount > 0 else { return false }
        position = block.restart(max(low - 1, 0))
        while try next() {
            if order(self.key, key) >= 0 { return true }
        }
        return false
    }

    mutating func seekToFirst(in block: RecordBlock) throws(Malformed) -> Bool {
        position = block.recordsStart
        return try next()
    }
}

/// The first byte of a record. Bits 0 and 1: how many parts of the key are the previous record's (none, kind, kind and
/// first, kind and both numbers); bits 4 to 7: the width of the number that follows.
enum RecordTag {
    static let sharedMask: UInt8 = 3
    static let deletion: UInt8 = 4
    static let hasName: UInt8 = 8
}
