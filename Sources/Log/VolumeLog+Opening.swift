public import BlobStorage
import Records
public import Sealing
public import Syscalls
import Tables

/// What of the volume's history this opening found, for the freshness check, which happens before anything is written.
public struct LogHistory: Sendable {
    /// The newest commit.
    public var mark: CommitMark
    /// Checkpoints that lead to it, oldest first: as many as the volume remembers.
    public var checkpoints: [CommitMark]
    /// Commits behind the newest checkpoint's start, the newest commit among them.
    public var replayed: [CommitMark]
    public var rest: LogRest
    /// The header's revision when the last checkpoint was written.
    public var headerRevision: UInt64
    /// Whether the last session closed the volume in order.
    public var isClean: Bool
}

extension VolumeLog {
    /// Writes the first segment, checkpoint and head of a new volume.
    public static func create(
        _ storage: any BlobStorage, keys: KeyHierarchy, headerDigest: Digest32, options: LogOptions
    ) throws(Failure) -> VolumeLog {
        let strays = Strays()
        let tree = makeTree(storage, keys, options, strays)
        let state = RecoveredState(strays: strays, tree: tree, mark: .none, head: nil, history: [], segments: [:], nextSegment: 1)
        let log = VolumeLog(storage: storage, keys: keys, headerDigest: headerDigest, options: options, recovered: state)
        try log.commitLock.withLock { () throws(Failure) in try log.startSession() }
        log.startHousekeepers()
        return log
    }

    /// Opens the volume as it was after its last commit that counts. `judge` is shown its history before anything is written, and throws
    /// to refuse it. Lists no directory.
    public static func open(
        _ storage: any BlobStorage, keys: KeyHierarchy, headerDigest: Digest32, options: LogOptions,
        judge: (LogHistory) throws(Failure) -> Void
    ) throws(Failure) -> VolumeLog {
        let state = try recover(storage, keys, options)
        let history = LogHistory(
            mark: state.mark, checkpoints: state.history, replayed: state.replayed, rest: state.rest,
            headerRevision: state.head?.headerRevision ?? 0,
            isClean: state.isClean && !state.hasReplayedChanges)
        try judge(history)
        let log = VolumeLog(storage: storage, keys: keys, headerDigest: headerDigest, options: options, recovered: state)
        if options.isReadOnly { return log }
        log.tornTail = state.tornTail
        if state.mark != state.head?.mark { try log.syncReplayed(state) }
        if state.hasReplayedChanges { try log.beginAfterReplay() }
        log.startHousekeepers()
        return log
    }

    /// A writer that was killed may have left it to the kernel. What is built on it must not outlast it, and this machine must not
    /// remember it before.
    private func syncReplayed(_ state: RecoveredState) throws(Failure) {
        try storage.syncNames(of: state.unsyncedSegments)
        for id in state.unsyncedSegments { try storage.syncBlob(id) }
    }

    /// What was replayed goes into tables now: the log it came from is never appended to.
    private func beginAfterReplay() throws(Failure) {
        try reserve.clear()
        tree.freeze()
        _ = try tree.flushFrozen()
        try commitLock.withLock { () throws(Failure) in try startSession() }
    }

    private static func makeTree(
        _ storage: any BlobStorage, _ keys: KeyHierarchy, _ options: LogOptions, _ strays: Strays
    ) -> TableTree {
        TableTree(storage: storage, keys: keys, cache: BlockCache(capacityBytes: options.blockCacheBytes)) {
            let id = BlobID.makeRandom()
            strays.didMake(id)
            return id
        }
    }

    // MARK: Recovery

    /// From the newest head. An older one is taken only if that was asked for: the newest says that there was more.
    private static func recover(_ storage: any BlobStorage, _ keys: KeyHierarchy, _ options: LogOptions) throws(Failure) -> RecoveredState {
        let heads = try HeadFile.read(storage, writer: 0, keys: keys)
        guard let newest = heads.first else {
            throw Failure(
                .damaged, "no head of this volume authenticates", object: "\(storage.name)/\(HeadFile.name(writer: 0))",
                hint: "restore this file from a backup of the same volume")
        }
        do { return try recover(from: newest, storage, keys, options) } catch {
            guard options.acceptsRollback, error.kind == .damaged, heads.count > 1 else { throw error }
            return try recover(from: heads[1], storage, keys, options)
        }
    }

    private static func recover(
        from head: Head, _ storage: any BlobStorage, _ keys: KeyHierarchy, _ options: LogOptions
    ) throws(Failure) -> RecoveredState {
        let manifest = try readCheckpoint(head, storage, keys)
        let strays = Strays(named: manifest.blobs.union([head.checkpoint.blob]))
        let tree = makeTree(storage, keys, options, strays)
        try tree.load(manifest: manifest.tables)
        var segments = Dictionary(manifest.segments.map { ($0.number, $0) }) { $1 }
        let batch = RecordBatch()
        var replay = LogReplay(storage: storage, keys: keys, from: manifest.replayFrom, mark: manifest.replayMark) { operation in
            switch operation {
            case .put(let key, let value): batch.put(key, value)
            case .delete(let key): batch.delete(key)
            case .liveBytes(let segment, let delta):
                segments[segment, default: SegmentFacts(number: segment, blob: BlobID(high: 0, low: 0))].liveBytes &+= delta
            }
            if batch.bytes.count > 1 << 20 {
                tree.apply(batch)
                batch.reset()
            }
        }
        try replay.run()
        tree.apply(batch)
        guard replay.mark.generation >= head.mark.generation else {
            throw Failure(
                .damaged, "the log ends before the checkpoint that the head names", object: storage.name,
                hint: "restore the segments of this volume from a backup")
        }
        if replay.isDamaged, !options.acceptsRollback {
            throw Failure(
                .damaged, "commits that were acknowledged do not authenticate, from byte \(replay.end.offset) on",
                object: "\(storage.name): segment \(replay.end.blob)",
                hint: "restore this blob from a backup, or give up what follows and open the volume with --accept-rollback")
        }
        // What was replayed is in the log: it need not be committed again.
        tree.discardChanges()
        strays.name(replay.segments.map(\.blob))
        guard segments.values.allSatisfy({ SegmentFacts.isInBounds(liveBytes: $0.liveBytes) }) else {
            throw Failure(.damaged, "the live bytes of a segment are out of all bounds", object: storage.name)
        }
        try refuseLostCommits(replay, head, strays, storage, keys, options)
        return finish(replay, head, manifest, tree, strays, segments)
    }

    private static func finish(
        _ replay: LogReplay, _ head: Head, _ manifest: Manifest, _ tree: TableTree, _ strays: Strays, _ facts: [UInt64: SegmentFacts]
    ) -> RecoveredState {
        var segments = facts
        var next = facts.keys.reduce(manifest.nextSegment) { max($0, $1 + 1) }
        for found in replay.segments {
            segments[found.number, default: SegmentFacts(number: found.number, blob: found.blob)].blob = found.blob
            segments[found.number]?.sizeBytes = found.sizeBytes
            next = max(next, found.number + 1)
        }
        // Live bytes of segments that the manifest had dropped already: gone, and rightly so.
        segments = segments.filter { $0.value.blob != BlobID(high: 0, low: 0) }
        let isClean = head.isClean && replay.mark == head.mark
        return RecoveredState(
            strays: strays, tree: tree, mark: replay.mark, head: head, history: manifest.history + [head.mark], segments: segments,
            nextSegment: next, replayed: replay.marks, rest: replay.rest, hasReplayedChanges: replay.hasChanges,
            unsyncedSegments: replay.segments.map(\.blob), tornTail: isClean ? nil : replay.end, isClean: isClean)
    }

    /// Reads the checkpoint's commit where the head says that it is.
    private static func readCheckpoint(_ head: Head, _ storage: any BlobStorage, _ keys: KeyHierarchy) throws(Failure) -> Manifest {
        let id = head.checkpoint.blob
        let object = "\(storage.name): segment \(id)"
        let blob: any ReadableBlob
        do { blob = try storage.openBlob(id) } catch  where error.kind == .missing {
            throw Failure(
                .damaged, "holds the newest checkpoint and is missing", object: object,
                hint: "restore it from a backup, or wait until it is synced")
        }
        let reader = SegmentReader(blobID: id, blob: blob, cipher: keys.cipher(for: .segment, high: id.high, low: id.low))
        var body: [UInt8] = []
        var offset = head.checkpoint.offset
        var frame = head.checkpoint.frame
        while let header = try reader.header(at: offset, frame: frame), header.kind == .commit || header.kind == .commitPart {
            let payload = try reader.payload(of: header, at: offset, frame: frame)
            guard let payload else { break }
            offset += UInt64(header.frameSizeBytes)
            frame += 1
            if header.kind == .commitPart {
                guard body.count + payload.count <= LogReplay.maximumBodyBytes else { break }
                body += payload
                continue
            }
            if let manifest = try manifest(payload, body, expecting: head.mark) { return manifest }
            break
        }
        throw Failure(.damaged, "the newest checkpoint does not authenticate", object: object, hint: "restore this blob from a backup")
    }

    /// Nil if the commit is not the one that is expected, or none.
    private static func manifest(_ payload: [UInt8], _ parts: [UInt8], expecting mark: CommitMark) throws(Failure) -> Manifest? {
        try payload.withBytes { (bytes) throws(Failure) -> Manifest? in
            var reader = ByteReader(bytes)
            guard let head = CommitHead(decoding: &reader), head.content == .checkpoint, let rest = reader.readBytes(reader.remaining)
            else { return nil }
            let body = parts + Array(rest)
            return try body.withBytes { (body) throws(Failure) -> Manifest? in
                guard head.generation == mark.generation, head.digest(body: body) == mark.digest else { return nil }
                if Manifest.isOfNewerFormat(body) {
                    throw Failure(.newerFormat, "the volume uses a feature that this version does not know", hint: "use a newer efs")
                }
                return Manifest(decoding: body)
            }
        }
    }
}

extension SegmentReader {
    /// The opened payload of a frame whose header is known; nil if it does not authenticate.
    func payload(of header: FrameHeader, at offset: UInt64, frame: UInt32) throws(Failure) -> [UInt8]? {
        let sealedCount = header.frameSizeBytes - FrameHeader.sealedSizeBytes
        var sealed = [UInt8](repeating: 0, count: sealedCount)
        let count = try sealed.withMutableBytes { (bytes) throws(Failure) in
            try blob.read(at: offset + UInt64(FrameHeader.sealedSizeBytes), into: bytes)
        }
        guard count == sealedCount else { return nil }
        var plain = [UInt8](repeating: 0, count: header.payloadSizeBytes)
        let isGenuine = sealed.withUnsafeBytes { sealed in
            plain.withUnsafeMutableBytes { plain in
                FrameSealing.openBlocks(
                    sealed, firstBlock: 0, payloadSizeBytes: header.payloadSizeBytes, blockSizeLog2: header.blockSizeLog2,
                    at: place(offset, frame), with: cipher, into: plain)
            }
        }
        return isGenuine ? plain : nil
    }
}
