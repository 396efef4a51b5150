import BlobStorage
import Records
import Sealing
import Syscalls
import Tables

/// Reads the log frame by frame from a checkpoint on, and ends at the last commit whose frames all verify. What comes after it was never
/// acknowledged, or the storage lost it, which the freshness state tells.
struct LogReplay {
    /// A segment that the log leads to, with the end of what counts in it.
    struct Segment {
        var number: UInt64
        var blob: BlobID
        var sizeBytes: UInt64
    }

    private let storage: any BlobStorage
    private let keys: KeyHierarchy
    /// Given each commit's changes, in order.
    private let apply: (BatchOperation) -> Void

    private(set) var mark: CommitMark
    /// After the last commit that counts.
    private(set) var end: LogPosition
    private(set) var marks: [CommitMark] = []
    private(set) var segments: [Segment] = []
    private(set) var hasChanges = false
    /// What stands where reading ended.
    private(set) var rest = LogRest.nothing
    /// `segments.count` when the last commit that counts was read.
    private var countedSegments = 0
    private var frames: [Digest32] = []
    private var parts: [UInt8] = []
    private var partCount: UInt32 = 0
    /// Whose log this is. A session's log begins with a checkpoint that is replayed from its own start, so there is one session in all of it.
    private var writer: (session: BlobID, headerDigest: Digest32)?
    /// A frame did not verify. Nothing counts any more; what follows is only looked at for a commit that proves the frame to be damaged
    /// rather than never written.
    private var isBroken = false
    /// A commit was found that knew commits after `mark` to be on stable storage.
    private(set) var isDamaged = false

    /// A body larger than this is none that this version writes: memory is bounded before anything is added up.
    static let maximumBodyBytes = 512 << 20

    init(
        storage: any BlobStorage, keys: KeyHierarchy, from position: LogPosition, mark: CommitMark,
        apply: @escaping (BatchOperation) -> Void
    ) {
        self.storage = storage
        self.keys = keys
        self.apply = apply
        self.mark = mark
        end = position
    }

    mutating func run() throws(Failure) {
        let pool = BufferPool()
        let sealed = UnsafeMutableRawBufferPointer.allocate(byteCount: BufferPool.bufferSizeBytes, alignment: 4096)
        defer { sealed.deallocate() }
        try pool.withBuffer { (plain) throws(Failure) in
            var position = end
            while let reader = try open(position), let next = try run(reader, position, sealed, plain) { position = next }
        }
        // Segments after the last commit hold nothing that counts, nor does what follows it in its own.
        segments.removeLast(segments.count - countedSegments)
        if let last = segments.indices.last { segments[last].sizeBytes = end.offset }
    }

    private mutating func open(_ position: LogPosition) throws(Failure) -> SegmentReader? {
        do {
            let blob = try storage.openBlob(position.blob)
            let cipher = keys.cipher(for: .segment, high: position.blob.high, low: position.blob.low)
            return SegmentReader(blobID: position.blob, blob: blob, cipher: cipher)
        } catch {
            // A next segment that was named but never became durable.
            if error.kind == .missing, !segments.isEmpty {
                rest = .missingSegment(position.blob)
                return nil
            }
            throw error.kind == .missing
                ? Failure(.damaged, "the newest segment is missing", object: "\(storage.name): segment \(position.blob)") : error
        }
    }

    /// Replays one segment from `start`; gives the place where the next one starts if this one is closed.
    private mutating func run(
        _ reader: SegmentReader, _ start: LogPosition, _ sealed: UnsafeMutableRawBufferPointer, _ plain: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> LogPosition? {
        var position = start
        segments.append(Segment(number: start.segment, blob: start.blob, sizeBytes: start.offset))
        while let header = try reader.header(at: position.offset, frame: position.frame) {
            let frame = UnsafeMutableRawBufferPointer(rebasing: sealed[0..<header.frameSizeBytes])
            guard try reader.blob.read(at: position.offset, into: frame) == frame.count else { return nil }
            let payload = UnsafeMutableRawBufferPointer(rebasing: plain[0..<header.payloadSizeBytes])
            let isGenuine = FrameSealing.openBlocks(
                UnsafeRawBufferPointer(rebasing: frame[FrameHeader.sealedSizeBytes...]), firstBlock: 0,
                payloadSizeBytes: header.payloadSizeBytes, blockSizeLog2: header.blockSizeLog2,
                at: reader.place(position.offset, position.frame), with: reader.cipher, into: payload)
            if !isGenuine { breakOff(reader.blobID, position.offset) }
            position.offset += UInt64(frame.count)
            position.frame += 1
            let digest = FrameSealing.digest(of: header, frame: UnsafeRawBufferPointer(frame))
            let step =
                isBroken
                ? look(header, isGenuine ? UnsafeRawBufferPointer(payload) : nil)
                : take(header, UnsafeRawBufferPointer(payload), digest, after: position)
            switch step {
            case .goOn: continue
            case .stop: return nil
            case .next(let next): return next
            }
        }
        if rest == .nothing, try holdsData(reader, at: position.offset) { rest = .unreadable(reader.blobID, offset: position.offset) }
        return nil
    }

    private mutating func breakOff(_ blob: BlobID, _ offset: UInt64) {
        if !isBroken { rest = .unreadable(blob, offset: offset) }
        isBroken = true
    }

    /// Whether anything but zeros, which are written ahead, stands where the header of a frame would.
    private func holdsData(_ reader: SegmentReader, at offset: UInt64) throws(Failure) -> Bool {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.sealedSizeBytes)
        return try bytes.withMutableBytes { (bytes) throws(Failure) in
            // A header that is cut off was never more.
            try reader.blob.read(at: offset, into: bytes) == bytes.count && bytes.contains { $0 != 0 }
        }
    }

    private enum Step {
        case goOn
        case stop
        case next(LogPosition)
    }

    /// A frame after a broken one.
    private mutating func look(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer?) -> Step {
        guard let payload else { return .goOn }
        var reader = ByteReader(payload)
        if header.kind == .closing, let closing = SegmentClosing(decoding: payload) {
            return .next(LogPosition(segment: closing.nextNumber, blob: closing.nextBlob, offset: 0, frame: 0))
        }
        if header.kind == .commit, let head = CommitHead(decoding: &reader), head.durableGeneration > mark.generation { isDamaged = true }
        return isDamaged ? .stop : .goOn
    }

    private mutating func take(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, _ digest: Digest32, after position: LogPosition)
        -> Step
    {
        switch header.kind {
        case .opening, .chunk:
            frames.append(digest)
        case .closing:
            guard let closing = SegmentClosing(decoding: payload) else { return .stop }
            // As the writer does: the closing frame, then the opening frame of the next segment.
            frames.append(digest)
            segments[segments.count - 1].sizeBytes = position.offset
            return .next(LogPosition(segment: closing.nextNumber, blob: closing.nextBlob, offset: 0, frame: 0))
        case .commitPart:
            guard parts.count + payload.count <= Self.maximumBodyBytes else { return .stop }
            parts.append(contentsOf: payload)
            partCount += 1
        case .commit:
            if !take(commit: payload, after: position) {
                breakOff(segments[segments.count - 1].blob, position.offset - UInt64(header.frameSizeBytes))
                return look(header, payload)
            }
        }
        return .goOn
    }

    /// False if the commit does not follow from what was read.
    private mutating func take(commit payload: UnsafeRawBufferPointer, after position: LogPosition) -> Bool {
        var reader = ByteReader(payload)
        guard let head = CommitHead(decoding: &reader), let rest = reader.readBytes(reader.remaining) else { return false }
        var hasher = DigestHasher()
        for digest in frames { hasher.update(digest) }
        guard head.generation == mark.generation + 1, head.parent == mark.digest, head.partCount == partCount,
            head.framesDigest == hasher.finish(), head.session == writer?.session ?? head.session,
            head.headerDigest == writer?.headerDigest ?? head.headerDigest
        else { return false }
        parts.append(contentsOf: rest)
        var isWhole = true
        let digest = parts.withUnsafeBytes { body -> Digest32 in
            // Twice, so that nothing of a body that is cut off is applied.
            if head.content == .changes { isWhole = Self.isSound(body) }
            if isWhole, head.content == .changes { isWhole = BatchDecoder.decode(body, apply) }
            return head.digest(body: body)
        }
        guard isWhole else { return false }
        if head.content == .changes, !parts.isEmpty { hasChanges = true }
        writer = (head.session, head.headerDigest)
        mark = CommitMark(generation: head.generation, digest: digest)
        marks.append(mark)
        end = position
        segments[segments.count - 1].sizeBytes = position.offset
        countedSegments = segments.count
        frames.removeAll(keepingCapacity: true)
        parts.removeAll(keepingCapacity: true)
        partCount = 0
        return true
    }

    /// Whether a body decodes, and holds nothing that a memory table would not take.
    private static func isSound(_ body: UnsafeRawBufferPointer) -> Bool {
        var isSound = true
        let isWhole = BatchDecoder.decode(body) { operation in
            switch operation {
            case .put(_, let value): if value.count > TableLimit.valueSizeBytes { isSound = false }
            case .delete: break
            case .liveBytes(_, let delta): if !SegmentFacts.isInBounds(liveBytes: delta) { isSound = false }
            }
        }
        return isWhole && isSound
    }
}
