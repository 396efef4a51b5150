/// Reads numbers and runs of bytes from borrowed bytes. Every read is bounded: past the end it gives nil and stays.
/// Numbers are little-endian.
public struct ByteReader {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    public private(set) var offset = 0

    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    public var remaining: Int { bytes.count - offset }
    public var isAtEnd: Bool { remaining == 0 }

    public mutating func readUInt8() -> UInt8? { readInteger() }
    public mutating func readUInt16() -> UInt16? { readInteger() }
    public mutating func readUInt32() -> UInt32? { readInteger() }
    public mutating func readUInt64() -> UInt64? { readInteger() }

    private mutating func readInteger<T: FixedWidthInteger>() -> T? {
        let size = T.bitWidth / 8
        guard remaining >= size, let base = bytes.baseAddress else { return nil }
        let value = (base + offset).loadUnaligned(as: T.self)
        offset += size
        return T(littleEndian: value)
    }

    /// The next `count` bytes, valid as long as what is read from.
    public mutating func readBytes(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, remaining >= count else { return nil }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// Unsigned LEB128; nil if it is cut off, or does not fit 64 bits.
    public mutating func readVarint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    public mutating func readSignedVarint() -> Int64? {
        guard let raw = readVarint() else { return nil }
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }
}
