/// A growable run of bytes that encoders append to. Owns its memory; `reset` keeps it for the next use.
/// Numbers are little-endian. Not thread-safe.
public struct ByteWriter: ~Copyable {
    @usableFromInline var base: UnsafeMutableRawPointer
    public private(set) var capacityBytes: Int
    public fileprivate(set) var count = 0

    public init(capacityBytes: Int = 256) {
        self.capacityBytes = max(capacityBytes, 16)
        base = .allocate(byteCount: self.capacityBytes, alignment: 16)
    }

    deinit { base.deallocate() }

    /// What was written, valid until the next change.
    public var readable: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    public mutating func reset() { count = 0 }

    public mutating func reserve(_ additional: Int) {
        if count + additional <= capacityBytes { return }
        let grown = max(capacityBytes * 2, count + additional)
        let new = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
        new.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = new
        capacityBytes = grown
    }

    public mutating func append(_ value: some FixedWidthInteger) {
        let size = value.bitWidth / 8
        reserve(size)
        var little = value.littleEndian
        withUnsafeBytes(of: &little) { (base + count).copyMemory(from: $0.baseAddress!, byteCount: size) }
        count += size
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    public mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    /// Unsigned LEB128: seven bits a byte, lowest first.
    public mutating func appendVarint(_ value: UInt64) {
        reserve(Varint.largestSizeBytes)
        count += Varint.store(value, at: base + count)
    }

    /// Zigzag, then unsigned LEB128: small numbers of either sign are short.
    public mutating func appendSignedVarint(_ value: Int64) {
        appendVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    public mutating func overwrite(_ value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= count)
        var little = value.littleEndian
        withUnsafeBytes(of: &little) { (base + offset).copyMemory(from: $0.baseAddress!, byteCount: 4) }
    }
}

/// Unsigned LEB128: seven bits a byte, lowest first.
public enum Varint {
    public static let largestSizeBytes = 10

    /// Writes `value` where there is room for the largest, and gives the number of its bytes.
    @inlinable
    public static func store(_ value: UInt64, at place: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var count = 0
        while rest >= 0x80 {
            place.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
            count += 1
            rest >>= 7
        }
        place.storeBytes(of: UInt8(rest), toByteOffset: count, as: UInt8.self)
        return count + 1
    }
}
