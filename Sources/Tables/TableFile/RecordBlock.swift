import Records

/// What a block says that does not hold together. Sealed bytes are the writer's, so this is a writer's bug or a stolen key:
/// still an error, never a trap.
struct Malformed: Error {}

/// An opened block of a table, immutable: records and restart points, and in an index block the filter before them.
///
/// `filter 64 x lines | records | restart u32 x n | n u32 | lines u32`; docs/format/tables.md. In memory the numbers that the
/// keys of the restart points differ in follow, side by side: a search touches few cache lines.
final class RecordBlock: @unchecked Sendable {
    // @unchecked: filled once before it is shared, then only read.
    private let base: UnsafeMutableRawPointer
    let sizeBytes: Int
    /// 64 bytes each, before the records.
    let filterLines: Int
    let recordsEnd: Int
    let restartCount: Int
    private let anchors: RestartAnchors

    /// Zeros after the block, so that numbers can be loaded whole at its very end.
    static let slackBytes = 16

    /// A block of `sizeBytes` that `fill` writes and whose structure is checked after. Fails if it does not hold together.
    init(sizeBytes: Int, fill: (UnsafeMutableRawBufferPointer) -> Bool) throws(Malformed) {
        guard sizeBytes >= 8, sizeBytes <= TableLimit.blockSizeBytes else { throw Malformed() }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: sizeBytes + Self.slackBytes, alignment: 64)
        (memory + sizeBytes).initializeMemory(as: UInt8.self, repeating: 0, count: Self.slackBytes)
        guard fill(UnsafeMutableRawBufferPointer(start: memory, count: sizeBytes)),
            let layout = Layout(UnsafeRawPointer(memory), sizeBytes), let anchors = RestartAnchors(UnsafeRawPointer(memory), layout)
        else {
            memory.deallocate()
            throw Malformed()
        }
        base = memory
        self.sizeBytes = sizeBytes
        filterLines = layout.filterLines
        recordsEnd = layout.recordsEnd
        restartCount = layout.restartCount
        self.anchors = anchors
    }

    deinit {
        base.deallocate()
        anchors.deallocate()
    }

    /// Where things are in a block.
    struct Layout {
        let filterLines: Int
        let recordsEnd: Int
        let restartCount: Int

        /// Nil if the numbers do not fit the size.
        init?(_ base: UnsafeRawPointer, _ sizeBytes: Int) {
            let lines = Int(RecordBlock.loadUInt32(base, sizeBytes - 4))
            let count = Int(RecordBlock.loadUInt32(base, sizeBytes - 8))
            let start = lines * BlockFilter.lineSizeBytes
            let end = sizeBytes - 8 - count * 4
            // A block without restart points has no records either.
            guard end >= start, count > 0 || end == start else { return nil }
            var previous = start - 1
            for index in 0..<count {
                let restart = Int(RecordBlock.loadUInt32(base, end + index * 4))
                guard restart > previous, restart < end, index > 0 || restart == start else { return nil }
                previous = restart
            }
            filterLines = lines
            recordsEnd = end
            restartCount = count
        }

        var recordsStart: Int { filterLines * BlockFilter.lineSizeBytes }
    }

    @inline(__always)
    fileprivate static func loadUInt32(_ base: UnsafeRawPointer, _ offset: Int) -> UInt32 {
        UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    func restart(_ index: Int) -> Int { Int(Self.loadUInt32(UnsafeRawPointer(base), recordsEnd + index * 4)) }

    @inline(__always) var bytes: UnsafeRawPointer { UnsafeRawPointer(base) }
    var recordsStart: Int { filterLines * BlockFilter.lineSizeBytes }
    var filter: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: recordsStart) }
    /// Of the block as it is held, for the cache.
    var memoryBytes: Int { sizeBytes + Self.slackBytes + restartCount * 8 + 128 }

    /// Which restart points may be the last one before `key`: all before the range are, none after it is.
    @inline(__always)
    fileprivate func candidates(_ key: RecordKey) -> Range<Int> { anchors.candidates(key) }
}

/// Of each restart point's key the one number that tells it from the others, as far as one does: `second` if all keys have kind
/// and first number in common, else `first` if they have the kind in common.
struct RestartAnchors {
    private enum Part { case none, first, second }

    private let numbers: UnsafeMutablePointer<UInt64>
    private let count: Int
    private let part: Part
    private let kind: UInt8
    private let first: UInt64

    /// Nil if a restart point holds no whole record.
    init?(_ base: UnsafeRawPointer, _ layout: RecordBlock.Layout) {
        count = layout.restartCount
        numbers = .allocate(capacity: max(count, 1))
        guard count > 0 else {
            (part, kind, first) = (.none, 0, 0)
            return
        }
        var cursor = BlockCursor(base, layout.recordsStart, layout.recordsEnd)
        do throws(Malformed) {
            let lowest = try cursor.restart(layout, 0)
            let highest = try cursor.restart(layout, count - 1)
            let isOneKind = lowest.kind == highest.kind
            (kind, first) = lowest
            part = isOneKind ? (lowest.first == highest.first ? .second : .first) : .none
            for index in 0..<count {
                _ = try cursor.restart(layout, index)
                numbers[index] = part == .second ? cursor.second : cursor.first
            }
        } catch {
            numbers.deallocate()
            return nil
        }
    }

    func deallocate() { numbers.deallocate() }

    @inline(__always)
    func candidates(_ key: RecordKey) -> Range<Int> {
        let wanted: UInt64
        switch part {
        case .none: return 0..<count
        case .first:
            if key.kind != kind { return key.kind < kind ? 0..<0 : count..<count }
            wanted = key.first
        case .second:
            if key.kind != kind { return key.kind < kind ? 0..<0 : count..<count }
            if key.first != first { return key.first < first ? 0..<0 : count..<count }
            wanted = key.second
        }
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if numbers[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        high = low
        while high < count, numbers[high] == wanted { high += 1 }
        return low..<high
    }
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

    init(_ block: RecordBlock) { self.init(block.bytes, block.recordsStart, block.recordsEnd) }

    init(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) {
        self.base = base
        position = start
        self.end = end
        namePointer = base
        valuePointer = base
    }

    /// Moves to the record at a restart point.
    fileprivate mutating func restart(_ layout: RecordBlock.Layout, _ index: Int) throws(Malformed) -> (kind: UInt8, first: UInt64) {
        position = Int(RecordBlock.loadUInt32(base, layout.recordsEnd + index * 4))
        guard try next() else { throw Malformed() }
        return (kind, first)
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
        let candidates = block.candidates(key)
        var low = candidates.lowerBound
        var high = candidates.upperBound
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
