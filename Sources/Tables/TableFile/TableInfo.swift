public import BlobStorage
public import Records

/// What a manifest says of a table.
public struct TableInfo: Equatable, Sendable {
    public var id: BlobID
    /// Of the whole file: who opens it finds the footer at its end, and notices that it was cut.
    public var sizeBytes: UInt64
    /// Records and deletions.
    public var recordCount: UInt64
    public var deletionCount: UInt64
    /// 0 for what was flushed and not merged yet.
    public var level: Int
    /// Which flush it came from. Tables of level 0 with a higher one are newer; those with the same one do not overlap.
    public var sequence: UInt64
    public var smallest: OwnedRecordKey
    public var largest: OwnedRecordKey

    public static let maximumLevel = 15
    /// Bounds of what a manifest says, so that no sum over all of its tables overflows.
    static let sizeLimitBytes: UInt64 = 1 << 40
    static let recordLimit: UInt64 = 1 << 36
    static let sequenceLimit: UInt64 = 1 << 62

    public init(
        id: BlobID, sizeBytes: UInt64, recordCount: UInt64, deletionCount: UInt64, level: Int, sequence: UInt64,
        smallest: OwnedRecordKey, largest: OwnedRecordKey
    ) {
        self.id = id
        self.sizeBytes = sizeBytes
        self.recordCount = recordCount
        self.deletionCount = deletionCount
        self.level = level
        self.sequence = sequence
        self.smallest = smallest
        self.largest = largest
    }
}

extension TableInfo {
    /// `idHigh u64, idLow u64, level u8, size varint, records varint, deletions varint, sequence varint, smallest, largest`.
    public func encode(into writer: inout ByteWriter) {
        writer.append(id.high)
        writer.append(id.low)
        writer.append(UInt8(level))
        writer.appendVarint(sizeBytes)
        writer.appendVarint(recordCount)
        writer.appendVarint(deletionCount)
        writer.appendVarint(sequence)
        smallest.encode(into: &writer)
        largest.encode(into: &writer)
    }

    /// Nil, if the bytes are not a whole, sensible description of a table.
    public init?(from reader: inout ByteReader) {
        guard let high = reader.readUInt64(), let low = reader.readUInt64(), let level = reader.readUInt8(),
            level <= Self.maximumLevel, let size = reader.readVarint(), size < Self.sizeLimitBytes, let records = reader.readVarint(),
            records > 0, records < Self.recordLimit, let deletions = reader.readVarint(), deletions <= records,
            let sequence = reader.readVarint(),
            sequence < Self.sequenceLimit, let smallest = OwnedRecordKey(from: &reader), let largest = OwnedRecordKey(from: &reader),
            smallest <= largest
        else { return nil }
        self.init(
            id: BlobID(high: high, low: low), sizeBytes: size, recordCount: records, deletionCount: deletions, level: Int(level),
            sequence: sequence, smallest: smallest, largest: largest)
    }
}
