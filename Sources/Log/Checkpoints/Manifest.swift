import BlobStorage
import Records
import Sealing
import Tables

/// What a checkpoint says: the tables and segments that make the volume, and where in the log the changes begin that are not in
/// the tables yet.
struct Manifest: Sendable {
    /// Changes after this place are replayed.
    var replayFrom: LogPosition
    /// The last commit before that place.
    var replayMark: CommitMark
    var tables: [TableInfo]
    /// As of `replayFrom`: replayed changes bring their own deltas.
    var segments: [SegmentFacts]
    var nextSegment: UInt64
    /// Marks of earlier checkpoints, newest last, so that a machine that saw one of them can tell that this is its future.
    var history: [CommitMark]

    static let historyLimit = 256
    /// Features that a reader has to know (incompatible) or to know for writing (read-only compatible). None yet.
    static let knownFeatures: UInt64 = 0

    func encode(into writer: inout ByteWriter) {
        writer.append(UInt32(1))
        for _ in 0..<3 { writer.append(UInt64(0)) }
        replayFrom.encode(into: &writer)
        writer.append(replayMark.generation)
        writer.append(replayMark.digest)
        writer.append(nextSegment)
        writer.appendVarint(UInt64(history.count))
        for mark in history {
            writer.append(mark.generation)
            writer.append(mark.digest)
        }
        writer.appendVarint(UInt64(segments.count))
        for segment in segments { segment.encode(into: &writer) }
        writer.appendVarint(UInt64(tables.count))
        for table in tables { table.encode(into: &writer) }
    }

    /// Whether the bytes, which are authentic, are of a later version of efs: to be told from damage.
    static func isOfNewerFormat(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(bytes)
        guard let version = reader.readUInt32() else { return false }
        if version != 1 { return version > 1 }
        guard reader.readUInt64() != nil, let readOnly = reader.readUInt64(), let incompatible = reader.readUInt64() else { return false }
        return (readOnly | incompatible) & ~knownFeatures != 0
    }

    /// Nil if the bytes are none, or of a newer format.
    init?(decoding bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard !Self.isOfNewerFormat(bytes), reader.readUInt32() == 1, reader.readBytes(3 * 8) != nil,
            let from = LogPosition(decoding: &reader), let generation = reader.readUInt64(), let digest = reader.readDigest(),
            generation < CommitMark.generationLimit, let nextSegment = reader.readUInt64(), nextSegment <= SegmentFacts.numberLimit,
            let history = Self.list(&reader, { CommitMark(decoding: &$0) }),
            let segments = Self.list(&reader, { SegmentFacts(decoding: &$0) }),
            let tables = Self.list(&reader, { TableInfo(from: &$0) })
        else { return nil }
        self.init(
            replayFrom: from, replayMark: CommitMark(generation: generation, digest: digest), tables: tables, segments: segments,
            nextSegment: nextSegment, history: history)
    }

    init(
        replayFrom: LogPosition, replayMark: CommitMark, tables: [TableInfo], segments: [SegmentFacts], nextSegment: UInt64,
        history: [CommitMark]
    ) {
        self.replayFrom = replayFrom
        self.replayMark = replayMark
        self.tables = tables
        self.segments = segments
        self.nextSegment = nextSegment
        self.history = history
    }

    /// Everything that it names.
    var blobs: Set<BlobID> { Set(segments.map(\.blob) + tables.map(\.id) + [replayFrom.blob]) }

    /// A counted list. Every item takes at least a byte, so a count beyond what is left is refused before anything is allocated.
    private static func list<T>(_ reader: inout ByteReader, _ item: (inout ByteReader) -> T?) -> [T]? {
        guard let count = reader.readVarint(), count <= UInt64(reader.remaining) else { return nil }
        var items: [T] = []
        for _ in 0..<count {
            guard let one = item(&reader) else { return nil }
            items.append(one)
        }
        return items
    }
}

extension CommitMark {
    /// More commits than there can be: a generation below it has a next one.
    static let generationLimit: UInt64 = 1 << 62

    init?(decoding reader: inout ByteReader) {
        guard let generation = reader.readUInt64(), let digest = reader.readDigest() else { return nil }
        self.init(generation: generation, digest: digest)
    }
}
