import Records

/// Writes records, in order, in the form that `RecordBlock` reads. Used again and again; not thread-safe.
struct RecordBlockBuilder: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacityBytes: Int
    private(set) var count = 0
    /// Records in the block.
    private(set) var recordCount = 0
    private var restarts: [UInt32] = []
    private let restartInterval: Int
    private var sinceRestart = 0

    private var lastKind: UInt8 = 0
    private var lastFirst: UInt64 = 0
    private var lastSecond: UInt64 = 0
    private var lastNameOffset = 0
    private var lastNameCount = 0

    /// More than a record takes besides its name and value.
    private static let recordOverheadBytes = 48

    init(restartInterval: Int, capacityBytes: Int = 32 << 10) {
        self.restartInterval = restartInterval
        self.capacityBytes = capacityBytes
        base = .allocate(byteCount: capacityBytes, alignment: 16)
    }

    deinit { base.deallocate() }

    mutating func reset() {
        count = 0
        recordCount = 0
        restarts.removeAll(keepingCapacity: true)
        sinceRestart = 0
    }

    /// Size of the block if it were finished now.
    var sizeBytes: Int { count + restarts.count * 4 + 8 }

    /// The last key added; valid until the next change.
    var lastKey: RecordKey {
        RecordKey(
            kind: lastKind, first: lastFirst, second: lastSecond,
            name: UnsafeRawBufferPointer(start: base + lastNameOffset, count: lastNameCount))
    }

    /// Adds a record after the last one; nil is a deletion.
    mutating func add(_ key: RecordKey, _ value: UnsafeRawBufferPointer?) {
        reserve(Self.recordOverheadBytes + key.name.count + (value?.count ?? 0))
        let start = count
        var tag: UInt8 = 0
        count += 1
        if sinceRestart == 0 {
            restarts.append(UInt32(start))
            base.storeBytes(of: key.kind, toByteOffset: count, as: UInt8.self)
            count += 1
            tag |= number(key.first)
            varint(key.second)
        } else if key.kind != lastKind {
            base.storeBytes(of: key.kind, toByteOffset: count, as: UInt8.self)
            count += 1
            tag |= number(key.first)
            varint(key.second)
        } else if key.first != lastFirst {
            tag |= 1 | number(key.first &- lastFirst)
            varint(key.second)
        } else if key.second != lastSecond {
            tag |= 2 | number(key.second &- lastSecond)
        } else {
            tag |= 3
        }
        sinceRestart += 1
        if sinceRestart == restartInterval { sinceRestart = 0 }
        if key.name.count > 0 {
            tag |= RecordTag.hasName
            base.storeBytes(of: UInt8(key.name.count), toByteOffset: count, as: UInt8.self)
            count += 1
        }
        if let value { varint(UInt64(value.count)) } else { tag |= RecordTag.deletion }
        base.storeBytes(of: tag, toByteOffset: start, as: UInt8.self)
        (lastKind, lastFirst, lastSecond) = (key.kind, key.first, key.second)
        (lastNameOffset, lastNameCount) = (count, key.name.count)
        append(key.name)
        if let value { append(value) }
        recordCount += 1
    }

    /// Closes the block: restart points, counts. What it gives is valid until the next change. The caller puts
    /// `filterLines` lines of filter before it.
    mutating func finish(filterLines: Int = 0) -> UnsafeRawBufferPointer {
        reserve(restarts.count * 4 + 8)
        for restart in restarts { uint32(restart + UInt32(filterLines * BlockFilter.lineSizeBytes)) }
        uint32(UInt32(restarts.count))
        uint32(UInt32(filterLines))
        return UnsafeRawBufferPointer(start: base, count: count)
    }

    // Appending; the room is reserved before

    /// The fewest bytes that hold `value`; gives their number as it goes into the tag.
    @inline(__always)
    private mutating func number(_ value: UInt64) -> UInt8 {
        base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
        let width = (64 - value.leadingZeroBitCount + 7) / 8
        count += width
        return UInt8(width) << 4
    }

    @inline(__always)
    private mutating func varint(_ value: UInt64) { count += Varint.store(value, at: base + count) }

    private mutating func uint32(_ value: UInt32) {
        base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt32.self)
        count += 4
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    @inline(__always)
    private mutating func reserve(_ additional: Int) {
        if count + additional > capacityBytes { grow(additional) }
    }

    private mutating func grow(_ additional: Int) {
        let grown = max(capacityBytes * 2, count + additional)
        let new = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
        new.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = new
        capacityBytes = grown
    }
}
