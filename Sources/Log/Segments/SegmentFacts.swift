public import BlobStorage
import Records

/// What the checkpoint knows of a segment. Segments are numbered in the order they were made, from 1; the number stands for the
/// blob's name in extents, where it is shorter.
public struct SegmentFacts: Sendable, Equatable {
    public var number: UInt64
    public var blob: BlobID
    /// Bytes up to the end of the last frame that counts.
    public var sizeBytes: UInt64
    /// Bytes of plain file content in it that extents point to.
    public var liveBytes: Int64

    /// Bounds of what is sealed, so that no sum of it overflows: a stranger's volume may say anything.
    static let sizeLimitBytes: UInt64 = 1 << 33
    static let numberLimit: UInt64 = 1 << 62
    static let liveLimitBytes: Int64 = 1 << 50

    func encode(into writer: inout ByteWriter) {
        writer.appendVarint(number)
        writer.append(blob.high)
        writer.append(blob.low)
        writer.appendVarint(sizeBytes)
        writer.appendSignedVarint(liveBytes)
    }

    init(number: UInt64, blob: BlobID, sizeBytes: UInt64 = 0, liveBytes: Int64 = 0) {
        self.number = number
        self.blob = blob
        self.sizeBytes = sizeBytes
        self.liveBytes = liveBytes
    }

    init?(decoding reader: inout ByteReader) {
        guard let number = reader.readVarint(), let high = reader.readUInt64(), let low = reader.readUInt64(),
            let size = reader.readVarint(), let live = reader.readSignedVarint(), number < Self.numberLimit,
            size < Self.sizeLimitBytes, Self.isInBounds(liveBytes: live)
        else { return nil }
        self.init(number: number, blob: BlobID(high: high, low: low), sizeBytes: size, liveBytes: live)
    }

    static func isInBounds(liveBytes: Int64) -> Bool { liveBytes.magnitude < liveLimitBytes }
}
