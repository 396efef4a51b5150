public import BlobStorage
import Records
public import Sealing

/// The head of a commit's payload, before its body. It proves what came before: one `fdatasync` does not order the frames under
/// it, so a commit counts only if every frame since the one before it is there as it was sealed.
public struct CommitHead: Equatable, Sendable {
    public enum Content: UInt8, Sendable {
        /// The body is a batch of changes.
        case changes = 1
        /// The body is a manifest.
        case checkpoint = 2
    }

    /// One more than that of the commit before.
    public var generation: UInt64
    public var content: Content
    /// Frames of kind `commitPart` right before this one, which hold the start of the body.
    public var partCount: UInt32
    /// Digest of the commit before; zero for the first of a volume. (A list of one parent: merging writers will name more.)
    public var parent: Digest32
    /// Over the digests of all frames since the commit before, this commit's own parts not among them.
    public var framesDigest: Digest32
    public var session: BlobID
    public var headerDigest: Digest32
    /// Commits up to this generation were known to be on stable storage when this one was written: damage to them is damage,
    /// not the torn end of a write.
    public var durableGeneration: UInt64

    static let version: UInt32 = 1
    static let sizeBytes = 4 + 8 + 1 + 1 + 4 + 32 + 32 + 16 + 32 + 8

    func encode(into writer: inout ByteWriter) {
        writer.append(Self.version)
        writer.append(generation)
        writer.append(content.rawValue)
        writer.append(partCount)
        writer.append(UInt8(1))
        writer.append(parent)
        writer.append(framesDigest)
        writer.append(session.high)
        writer.append(session.low)
        writer.append(headerDigest)
        writer.append(durableGeneration)
    }

    /// Reads the head and leaves the reader at the body.
    init?(decoding reader: inout ByteReader) {
        guard reader.readUInt32() == Self.version, let generation = reader.readUInt64(), let code = reader.readUInt8(),
            let content = Content(rawValue: code), let partCount = reader.readUInt32(), reader.readUInt8() == 1,
            let parent = reader.readDigest(), let framesDigest = reader.readDigest(), let high = reader.readUInt64(),
            let low = reader.readUInt64(), let headerDigest = reader.readDigest(), let durable = reader.readUInt64()
        else { return nil }
        self.init(
            generation: generation, content: content, partCount: partCount, parent: parent, framesDigest: framesDigest,
            session: BlobID(high: high, low: low), headerDigest: headerDigest, durableGeneration: durable)
    }

    init(
        generation: UInt64, content: Content, partCount: UInt32, parent: Digest32, framesDigest: Digest32, session: BlobID,
        headerDigest: Digest32, durableGeneration: UInt64
    ) {
        self.generation = generation
        self.content = content
        self.partCount = partCount
        self.parent = parent
        self.framesDigest = framesDigest
        self.session = session
        self.headerDigest = headerDigest
        self.durableGeneration = durableGeneration
    }

    /// A commit's own digest: over its plain head and body.
    func digest(body: UnsafeRawBufferPointer) -> Digest32 {
        var writer = ByteWriter(capacityBytes: Self.sizeBytes)
        encode(into: &writer)
        var hasher = DigestHasher()
        hasher.update(writer.readable)
        hasher.update(body)
        return hasher.finish()
    }
}

/// A state of the volume, for telling newer, older and other histories apart.
public struct CommitMark: Equatable, Sendable {
    public var generation: UInt64
    public var digest: Digest32

    public init(generation: UInt64, digest: Digest32) {
        self.generation = generation
        self.digest = digest
    }

    public static let none = CommitMark(generation: 0, digest: .zero)
}

/// What of a log is known to be on stable storage.
public struct DurableState: Equatable, Sendable {
    /// The newest commit.
    public var mark: CommitMark
    /// The newest checkpoint that a head names, at or before that commit. Between the two there is no other checkpoint: a history that
    /// has one there is another history.
    public var checkpoint: CommitMark

    public init(mark: CommitMark, checkpoint: CommitMark) {
        self.mark = mark
        self.checkpoint = checkpoint
    }
}
