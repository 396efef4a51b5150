import BlobStorage
import Records
import Sealing
import Tables

@testable import Log

/// The fixed segment and head slot that docs/format/log.md shows: every kind of frame once, everything random written out.
struct LogVectors {
    static let volumeKey = "8a651eb7d5af6c1045e1d69154759825749e5dd644863bbd516a06dfcd06045a"
    static let volumeID = "1cfd9e4fe36b5156c90ea3fd72f7e91f"
    static let segmentNumber: UInt64 = 3
    static let blob = BlobID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
    static let session = BlobID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
    static let headerDigest = "267ed29d3d65cedc5cf5a345ad29bb740e97132163dd4994a2e65a7dcff449e0"
    static let salt = BlobID(high: 0xa1a2_a3a4_a5a6_a7a8, low: 0xb1b2_b3b4_b5b6_b7b8)
    static let small = Array("hello, log".utf8)
    static let large = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }

    static func keys(_ suite: CipherSuite = .aes256Gcm) -> KeyHierarchy {
        let key = Hexadecimal.decode(volumeKey) ?? []
        return KeyHierarchy(
            suite: suite, volumeID: Hexadecimal.decode(volumeID) ?? [], volumeKey: SecretBytes(count: 32) { $0.copyBytes(from: key) })
    }

    static var start: LogPosition { LogPosition(segment: segmentNumber, blob: blob, offset: 0, frame: 0) }

    private var lines: [String] = []
    private let cipher = keys().cipher(for: .segment, high: blob.high, low: blob.low)
    private(set) var segment: [UInt8] = []
    /// Where each frame starts.
    private(set) var starts: [Int] = []
    private var digests: [Digest32] = []
    private(set) var marks: [CommitMark] = []
    private(set) var head: Head?

    init() {
        addKeys()
        addOpening()
        addChunks()
        addCommits()
        addCheckpoint()
        addClosing()
        addHead()
    }

    var text: String { lines.joined(separator: "\n") }

    // MARK: Writing lines

    private mutating func add(_ name: String, _ bytes: [UInt8]) {
        let wrapped = stride(from: 0, to: bytes.count, by: 32).map { Hexadecimal.encode(bytes[$0..<min($0 + 32, bytes.count)]) }
        lines.append("\(name) = \(wrapped.joined(separator: "\n    "))")
    }

    private mutating func add(_ name: String, _ digest: Digest32) { add(name, digest.bytes) }

    // MARK: Frames

    private var place: FramePlace { FramePlace(blob: Self.blob, offset: UInt64(segment.count), frame: UInt32(starts.count)) }

    private static func seal(_ header: FrameHeader, _ payload: [UInt8], _ place: FramePlace, _ cipher: BlobCipher) -> ([UInt8], Digest32) {
        var frame = [UInt8](repeating: 0, count: header.frameSizeBytes)
        let digest = payload.withUnsafeBytes { payload in
            frame.withUnsafeMutableBytes { FrameSealing.seal(header, payload, at: place, with: cipher, into: $0) }
        }
        return (frame, digest)
    }

    private static func plain(_ header: FrameHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.plainSizeBytes)
        bytes.withUnsafeMutableBytes { header.encode(into: $0.baseAddress!) }
        return bytes
    }

    private static func header(_ kind: FrameKind, _ payload: [UInt8], first: UInt64 = 0, second: UInt64 = 0) -> FrameHeader {
        FrameHeader(kind: kind, blockSizeLog2: 12, payloadSizeBytes: payload.count, first: first, second: second)
    }

    /// Seals the next frame of the segment.
    private mutating func append(_ header: FrameHeader, _ payload: [UInt8]) -> (frame: [UInt8], digest: Digest32) {
        let (frame, digest) = Self.seal(header, payload, place, cipher)
        starts.append(segment.count)
        segment += frame
        if header.kind != .commit, header.kind != .commitPart { digests.append(digest) }
        return (frame, digest)
    }

    private mutating func takeFramesDigest() -> Digest32 {
        var hasher = DigestHasher()
        for digest in digests { hasher.update(digest) }
        digests = []
        return hasher.finish()
    }

    private mutating func addKeys() {
        lines += ["volume id = \(Self.volumeID)", "volume key = \(Self.volumeKey)", "suite = 1"]
        lines += ["segment number = \(Self.segmentNumber)", "segment blob = \(Self.blob)", "session = \(Self.session)"]
        lines.append("header digest = \(Self.headerDigest)")
        add("segment key", Self.keys().key(for: .segment, high: Self.blob.high, low: Self.blob.low).withUnsafeBytes { Array($0) })
    }

    private mutating func addOpening() {
        var writer = ByteWriter()
        SegmentOpening(
            number: Self.segmentNumber, writer: 0, session: Self.session, headerDigest: Self.digest(Self.headerDigest),
            previousGeneration: 0,
            previousDigest: .zero
        ).encode(into: &writer)
        let payload = Array(writer.readable)
        let header = Self.header(.opening, payload)
        add("opening associated data", place.withAssociatedData { Array($0) })
        add("opening header", Self.plain(header))
        add("opening payload", payload)
        let (frame, digest) = append(header, payload)
        add("opening frame", frame)
        add("opening digest", digest)
    }

    private mutating func addChunks() {
        let header = Self.header(.chunk, Self.small, first: 42, second: 8192)
        lines.append("small chunk offset = \(segment.count)")
        let place = place
        add("small chunk header", Self.plain(header))
        let (frame, digest) = append(header, Self.small)
        add("small chunk frame", frame)
        add("small chunk digest", digest)
        for suite in [CipherSuite.chaCha20Poly1305, .aes256GcmSiv] {
            let other = Self.keys(suite).cipher(for: .segment, high: Self.blob.high, low: Self.blob.low)
            add("small chunk frame with suite \(suite.rawValue)", Self.seal(header, Self.small, place, other).0)
        }
        let largeHeader = Self.header(.chunk, Self.large, first: 42, second: 65_536)
        lines.append("large chunk offset = \(segment.count)")
        add("large chunk header", Self.plain(largeHeader))
        let (largeFrame, largeDigest) = append(largeHeader, Self.large)
        add("SHA-256 of the large chunk frame", DigestHasher.digest(of: largeFrame))
        add("large chunk digest", largeDigest)
    }

    // MARK: Commits

    private mutating func head(_ content: CommitHead.Content, parts: UInt32, framesDigest: Digest32) -> CommitHead {
        let before = marks.last ?? .none
        return CommitHead(
            generation: before.generation + 1, content: content, partCount: parts, parent: before.digest, framesDigest: framesDigest,
            session: Self.session, headerDigest: Self.digest(Self.headerDigest), durableGeneration: before.generation)
    }

    /// Seals a commit whose first part, if `partSizeBytes` is not 0, has that size.
    private mutating func commit(_ content: CommitHead.Content, _ body: [UInt8], partSizeBytes: Int = 0) -> (part: [UInt8], final: [UInt8])
    {
        let head = head(content, parts: partSizeBytes > 0 ? 1 : 0, framesDigest: takeFramesDigest())
        var part: [UInt8] = []
        if partSizeBytes > 0 {
            let front = Array(body[..<partSizeBytes])
            part = append(Self.header(.commitPart, front, first: head.generation), front).frame
        }
        var writer = ByteWriter()
        head.encode(into: &writer)
        writer.append(Array(body[partSizeBytes...]))
        let payload = Array(writer.readable)
        let final = append(Self.header(.commit, payload, first: head.generation), payload).frame
        marks.append(CommitMark(generation: head.generation, digest: body.withUnsafeBytes { head.digest(body: $0) }))
        return (part, final)
    }

    private mutating func addCommits() {
        let batch = RecordBatch()
        Array("root".utf8).withUnsafeBytes { batch.put(RecordKey(.inode, 1), $0) }
        Array("old".utf8).withUnsafeBytes { batch.delete(RecordKey(.dirent, 1, 5, name: $0)) }
        batch.liveBytes(segment: Self.segmentNumber, delta: Int64(Self.small.count + Self.large.count))
        var hasher = DigestHasher()
        for digest in digests { hasher.update(digest) }
        add("frames digest", hasher.finish())
        add("commit body", Array(batch.bytes.readable))
        add("commit frame", commit(.changes, Array(batch.bytes.readable)).final)
        add("commit digest", marks[0].digest)
        let second = RecordBatch()
        (0..<300).map { UInt8(truncatingIfNeeded: $0) }.withUnsafeBytes { second.put(RecordKey(.inline, 42), $0) }
        let (part, final) = commit(.changes, Array(second.bytes.readable), partSizeBytes: 200)
        add("part frame", part)
        add("final frame", final)
        add("digest of the commit in parts", marks[1].digest)
    }

    private mutating func addCheckpoint() {
        let table = TableInfo(
            id: BlobID(high: 0x1111_1111_1111_1111, low: 0x2222_2222_2222_2222), sizeBytes: 4096, recordCount: 12, deletionCount: 2,
            level: 1,
            sequence: 5, smallest: OwnedRecordKey(kind: 1, first: 1),
            largest: OwnedRecordKey(kind: 2, first: 1, second: 5, name: Array("zeta".utf8)))
        let manifest = Manifest(
            replayFrom: Self.start, replayMark: .none, tables: [table],
            segments: [SegmentFacts(number: Self.segmentNumber, blob: Self.blob, sizeBytes: UInt64(segment.count), liveBytes: 10_010)],
            nextSegment: 4, history: [marks[0]])
        var writer = ByteWriter()
        manifest.encode(into: &writer)
        add("manifest", Array(writer.readable))
        let position = LogPosition(segment: Self.segmentNumber, blob: Self.blob, offset: UInt64(segment.count), frame: UInt32(starts.count))
        add("checkpoint frame", commit(.checkpoint, Array(writer.readable)).final)
        add("checkpoint digest", marks[2].digest)
        head = Head(sequence: 9, checkpoint: position, mark: marks[2], headerRevision: 1, isClean: true)
    }

    private mutating func addClosing() {
        var writer = ByteWriter()
        SegmentClosing(nextNumber: 4, nextBlob: BlobID(high: 0xffee_ddcc_bbaa_9988, low: 0x7766_5544_3322_1100)).encode(into: &writer)
        let payload = Array(writer.readable)
        add("closing payload", payload)
        add("closing frame", append(Self.header(.closing, payload), payload).frame)
        lines.append("segment size = \(segment.count)")
        add("SHA-256 of the segment", DigestHasher.digest(of: segment))
    }

    private mutating func addHead() {
        guard let head else { return }
        add("head slot", HeadFile.seal(head, slot: 1, writer: 0, keys: Self.keys(), salt: Self.salt))
    }

    static func digest(_ hexadecimal: String) -> Digest32 { Hexadecimal.decode(hexadecimal).flatMap { Digest32($0) } ?? .zero }
}
