import BlobStorage
import Records
import Sealing

/// The payload of a segment's first frame. Each field defends against a segment being read in a place that is not its own.
struct SegmentOpening: Equatable, Sendable {
    var number: UInt64
    /// The machine that writes: 0 so far.
    var writer: UInt64
    /// The opening of the volume that wrote it, random.
    var session: BlobID
    /// The header's digest when it was written.
    var headerDigest: Digest32
    /// The last commit before it.
    var previousGeneration: UInt64
    var previousDigest: Digest32

    func encode(into writer: inout ByteWriter) {
        writer.append(UInt32(1))
        writer.append(number)
        writer.append(self.writer)
        writer.append(session.high)
        writer.append(session.low)
        writer.append(headerDigest)
        writer.append(previousGeneration)
        writer.append(previousDigest)
    }

    init(
        number: UInt64, writer: UInt64, session: BlobID, headerDigest: Digest32, previousGeneration: UInt64, previousDigest: Digest32
    ) {
        self.number = number
        self.writer = writer
        self.session = session
        self.headerDigest = headerDigest
        self.previousGeneration = previousGeneration
        self.previousDigest = previousDigest
    }

    /// Nil if the bytes are none.
    init?(decoding bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard reader.readUInt32() == 1, let number = reader.readUInt64(), let writer = reader.readUInt64(), let high = reader.readUInt64(),
            let low = reader.readUInt64(), let headerDigest = reader.readDigest(), let generation = reader.readUInt64(),
            let digest = reader.readDigest(), reader.isAtEnd, number < SegmentFacts.numberLimit, generation < CommitMark.generationLimit
        else { return nil }
        self.init(
            number: number, writer: writer, session: BlobID(high: high, low: low), headerDigest: headerDigest,
            previousGeneration: generation, previousDigest: digest)
    }
}

/// The payload of a segment's last frame: which segment goes on.
struct SegmentClosing: Equatable, Sendable {
    var nextNumber: UInt64
    var nextBlob: BlobID

    static let sizeBytes = 28

    func encode(into writer: inout ByteWriter) {
        writer.append(UInt32(1))
        writer.append(nextNumber)
        writer.append(nextBlob.high)
        writer.append(nextBlob.low)
    }

    init(nextNumber: UInt64, nextBlob: BlobID) {
        self.nextNumber = nextNumber
        self.nextBlob = nextBlob
    }

    init?(decoding bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard reader.readUInt32() == 1, let number = reader.readUInt64(), let high = reader.readUInt64(), let low = reader.readUInt64(),
            number < SegmentFacts.numberLimit
        else { return nil }
        self.init(nextNumber: number, nextBlob: BlobID(high: high, low: low))
    }
}

extension ByteWriter {
    mutating func append(_ digest: Digest32) { digest.withUnsafeBytes { append($0) } }
}

extension ByteReader {
    mutating func readDigest() -> Digest32? { readBytes(Digest32.sizeBytes).flatMap { Digest32($0) } }
}
