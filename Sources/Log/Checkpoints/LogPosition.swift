public import BlobStorage
import Records

/// A place in the log between two frames.
public struct LogPosition: Equatable, Sendable {
    public var segment: UInt64
    public var blob: BlobID
    public var offset: UInt64
    public var frame: UInt32

    init(segment: UInt64, blob: BlobID, offset: UInt64, frame: UInt32) {
        self.segment = segment
        self.blob = blob
        self.offset = offset
        self.frame = frame
    }

    /// More frames than a segment has room for.
    private static let frameLimit: UInt32 = 1 << 31

    func encode(into writer: inout ByteWriter) {
        writer.append(segment)
        writer.append(blob.high)
        writer.append(blob.low)
        writer.append(offset)
        writer.append(frame)
    }

    init?(decoding reader: inout ByteReader) {
        guard let segment = reader.readUInt64(), let high = reader.readUInt64(), let low = reader.readUInt64(),
            let offset = reader.readUInt64(), let frame = reader.readUInt32(), segment < SegmentFacts.numberLimit,
            offset < SegmentFacts.sizeLimitBytes, frame < Self.frameLimit
        else { return nil }
        self.init(segment: segment, blob: BlobID(high: high, low: low), offset: offset, frame: frame)
    }
}
