import BlobStorage
public import Records
import Sealing
import Synchronization
public import Syscalls
import SystemPackage
import Tables

/// The log of an open volume: file data and metadata changes in one stream of sealed frames, tables of older metadata beside it.
///
/// Invariants:
/// - What `apply` was given is visible at once and durable after `durable(token)`; batches become durable in the order they were applied.
/// - A commit covers exactly the batches applied before it was captured.
/// - No blob is deleted that one of the two newest checkpoints names.
///
/// Thread-safe. Locks, in the order they may be taken: `cleaning` (one round of cleaning at a time), the file system's own (an inode's),
/// `checkpointLock` (one checkpoint at a time, held over its I/O), `commitLock` (one commit at a time, held over its I/O), the tail's
/// monitor, `changes` (the memory table's single writer; microseconds). A caller may hold the file system's locks; so nothing that holds
/// one of the locks after them calls the file system. Whoever finds that too much is waiting to be written does that work itself rather
/// than wait for a thread of the background, which may be waiting for a lock that the caller holds.
public final class VolumeLog: @unchecked Sendable {
    // @unchecked: each group of variables names the lock that guards it.
    let storage: any BlobStorage
    let keys: KeyHierarchy
    let options: LogOptions
    let headerDigest: Digest32
    let session: BlobID
    let tree: TableTree
    let pool = BufferPool()
    let cache: SegmentCache
    /// The writer's number: which head file is its own.
    let writer: UInt64 = 0
    var tail: LogTail!

    /// Guards the variables below, up to the next mark.
    let changes = Monitor()
    var sequence: UInt64 = 0
    var segments = SegmentTable()
    var nextSegment: UInt64 = 1
    var pendingLive: [UInt64: Int64] = [:]
    /// The reserve had to be given back: what makes the volume larger is refused.
    var isFull = false
    /// A write found no room: what is garbage is wanted at once.
    var isShortOfRoom = false
    /// How often blobs were deleted, and how many rounds the cleaner has done: for those who wait for room.
    var deletions = 0
    var cleaningRounds = 0
    /// The garbage that there was when waiting for room was last in vain.
    var hopelessGarbageBytes = Int64.min
    /// Writers that wait for room now.
    var roomWaiters = 0
    /// The garbage that there was when a segment to clean was last looked for in vain, by the number that it had to be below.
    var vainSearches: [UInt64: Int64] = [:]
    var counters = LogStatistics()

    /// Guards the variables below, up to the next mark.
    let commitLock = Monitor()
    /// Captured but not yet written: stays here if a commit finds no room, and goes out with the next one.
    var body = ByteWriter(capacityBytes: 64 << 10)
    var bodySequence: UInt64 = 0
    var bodyHasContent = false
    var mark: CommitMark
    /// The newest commit on stable storage. Changed with `changes` held too, so either lock is enough for reading.
    var durableMark: CommitMark
    var lastCommitSeconds = Clock.seconds()
    /// What `didBecomeDurable` was last told, and when.
    var toldMark: CommitMark
    var lastTellingSeconds = 0.0
    /// Commits that a caller waited for.
    var commitRate = CommitRate()
    /// The session's first segment, while no head names it, and the commit before it.
    var sessionStart: (position: LogPosition, mark: CommitMark)?
    var head: Head?
    var headFile: (any WritableBlob)?
    var history: [CommitMark]
    /// Tables that are gone and that the next manifest will not name.
    var retiredTables: [BlobID] = []
    /// Blobs that no longer count, by how many checkpoints ago that was.
    var obsolete: [[BlobID]] = []
    var checkpointBytes: UInt64 = 0
    /// Who copies blobs now, so that none may go.
    var deletionHolds = 0
    /// Ends here.

    let checkpointLock = Monitor()

    /// Guards the cleaner's state below.
    let cleaning = Monitor()
    var lastDropSeconds = 0.0
    let strays: Strays
    /// The newest commit that was found when the volume was opened.
    let recoveredGeneration: UInt64
    /// Where the log of a session ended that did not close.
    var tornTail: LogPosition?
    /// Ends here.

    let durableSequence = Atomic<UInt64>(0)
    /// Whether a head names a checkpoint of this session: only then do commits count.
    let hasSession = Atomic<Bool>(false)
    /// The thread that is moving data for the cleaner, as a number; 0 if none is.
    let movingThread = Atomic<UInt>(0)
    let reports: ReportLimiter
    let roomLook = Mutex(RoomLook())
    /// Moves what is live of a chunk; set by the file system. See `Cleaner`.
    let relocator = Mutex<Relocator?>(nil)
    let reserve: Reserve
    let committer = Housekeeper(name: "efs-log") { log, wish in log.commitRound(wish) }
    let cleaner = Housekeeper(name: "efs-clean") { log, wish in log.cleaningRound(wish) }

    init(
        storage: any BlobStorage, keys: KeyHierarchy, headerDigest: Digest32, options: LogOptions, recovered: RecoveredState
    ) {
        self.storage = storage
        self.keys = keys
        self.headerDigest = headerDigest
        self.options = options
        session = .makeRandom()
        tree = recovered.tree
        cache = SegmentCache(limit: options.openSegments)
        reserve = Reserve(storage: storage, options: options)
        reports = ReportLimiter(options.report)
        mark = recovered.mark
        durableMark = recovered.mark
        toldMark = recovered.mark
        recoveredGeneration = recovered.mark.generation
        head = recovered.head
        history = recovered.history
        segments = SegmentTable(recovered.segments)
        nextSegment = recovered.nextSegment
        strays = recovered.strays
        tail = makeTail()
    }

    deinit {
        // Dropped without `close`, as after a crash: the threads end, and write nothing more.
        committer.dismiss()
        cleaner.dismiss()
    }

    private func makeTail() -> LogTail {
        var configuration = LogTail.Configuration()
        configuration.segmentSizeBytes = options.segmentSizeBytes
        configuration.allocationStepBytes = min(configuration.allocationStepBytes, max(options.segmentSizeBytes / 4, 64 << 10))
        return LogTail(
            storage: storage, pool: pool, configuration: configuration,
            actions: LogTail.Actions(
                makeSegment: { [unowned self] () throws(Failure) in try makeSegment() },
                discardSegment: { [unowned self] in discardSegment($0) },
                openingFacts: { [unowned self] in opening(of: $0) },
                didClose: { [unowned self] in didClose($0) },
                releaseReserve: { [unowned self] in releaseReserve(for: $0) },
                releaseCount: { [unowned self] in reserve.releaseCount }))
    }

    // MARK: What callers see

    /// The newest commit that is on stable storage.
    public var durable: DurableState { commitLock.withLock { durableState } }

    /// The caller holds `commitLock`.
    var durableState: DurableState { DurableState(mark: durableMark, checkpoint: history.last ?? .none) }

    /// Makes the batch visible to all readers and gives the token that `durable` takes. Refuses batches that need more room when
    /// the storage is full, so that deletions still find some.
    public func apply(_ batch: RecordBatch) throws(Failure) -> UInt64 {
        if let failure = tail.failure { throw readOnly(failure) }
        if options.isReadOnly { throw Failure(.readOnly, "the volume is open for reading only", object: storage.name) }
        try limitMemory(before: batch)
        return try changes.withLock { () throws(Failure) -> UInt64 in
            if isFull, batch.needsRoom { throw Failure(.noSpace, "the storage is full", object: storage.name, cause: .noSpace) }
            tree.apply(batch)
            batch.forEach { if case .liveBytes(let segment, let delta) = $0 { addLive(segment, delta) } }
            sequence += 1
            return sequence
        }
    }

    /// Has the memory table written when it is large. Changes that come faster than the background writes them are made to wait for
    /// it: their thread writes the table itself.
    private func limitMemory(before batch: RecordBatch) throws(Failure) {
        let size = tree.activeSizeBytes
        if size <= options.memoryTableBytes { return }
        committer.kick()
        if size <= options.memoryTableBytes * 4 { return }
        do {
            try checkpointLock.withLock { () throws(Failure) in
                if tree.activeSizeBytes > options.memoryTableBytes * 4 { try makeCheckpoint(isClean: false) }
            }
        } catch {
            // On a full storage deletions go on, so that there is room again.
            if tail.failure != nil || batch.needsRoom { throw error }
        }
    }

    /// Returns when everything up to `token` is on stable storage; callers at one time share a commit.
    public func durable(_ token: UInt64) throws(Failure) {
        if durableSequence.load(ordering: .acquiring) >= token { return }
        let areMany = try commitLock.withLock { () throws(Failure) -> Bool in
            if durableSequence.load(ordering: .acquiring) >= token { return false }
            try commit()
            return commitRate.add(at: Clock.seconds(), intervalSeconds: options.commitIntervalSeconds)
        }
        if areMany, tail.wantsZeros(Self.zerosAheadBytes) { committer.kickForZeros() }
    }

    public func currentToken() -> UInt64 { changes.withLock { sequence } }

    public func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool { try tree.get(key, body) }

    public func scan(
        from lower: RecordKey, to upper: RecordKey, _ body: (RecordKey, UnsafeRawBufferPointer) -> Bool
    ) throws(Failure) {
        try tree.scan(from: lower, to: upper, body)
    }

    /// Sets what moves live data for the cleaner.
    public func setRelocator(_ new: Relocator?) { relocator.withLock { $0 = new } }

    public var statistics: LogStatistics {
        let tables = tree.tables
        var result = changes.withLock { () -> LogStatistics in
            var result = counters
            result.segments = segments.count
            result.segmentBytes = UInt64(segments.totals.sizeBytes)
            result.liveBytes = segments.totals.liveBytes
            return result
        }
        result.tables = tables.count
        result.tableBytes = tables.reduce(0) { $0 + UInt64($1.sizeBytes) }
        result.records = tables.reduce(0) { $0 + UInt64($1.recordCount) }
        result.writtenBytes = tail.sessionBytes
        result.unsyncedBytes = tail.pendingBytes
        result.generation = commitLock.withLock { mark.generation }
        return result
    }

    /// The caller holds `changes`.
    func addLive(_ segment: UInt64, _ delta: Int64) {
        pendingLive[segment, default: 0] += delta
        segments.update(segment) {
            $0.facts.liveBytes += delta
            if delta > 0 { $0.unclaimedBytes -= min(delta, $0.unclaimedBytes) }
        }
    }

    static let zerosAheadBytes: UInt64 = 1 << 20

    func readOnly(_ cause: Failure) -> Failure {
        Failure(
            .readOnly, "the volume is read-only since its storage failed (\(cause))", object: storage.name,
            hint: "unmount, see to the storage, and mount again", cause: .readOnlyFileSystem)
    }
}

extension RecordBatch {
    /// Whether it makes the volume larger: more names, contents or attributes than go, or more live bytes than before.
    var needsRoom: Bool {
        let kinds: [RecordKind] = [.dirent, .inline, .xattr]
        var balances = [0, 0, 0]
        var live: Int64 = 0
        func count(_ key: RecordKey, _ change: Int) {
            if let index = kinds.firstIndex(where: { $0.rawValue == key.kind }) { balances[index] += change }
        }
        forEach { operation in
            switch operation {
            case .put(let key, _): count(key, 1)
            case .delete(let key): count(key, -1)
            case .liveBytes(_, let delta): live += delta
            }
        }
        return live > 0 || balances.contains { $0 > 0 }
    }
}

extension BlobID {
    /// 128 bits from the operating system.
    static func makeRandom() -> BlobID {
        SecretBytes.random(count: 16).withUnsafeBytes {
            BlobID(high: $0.load(as: UInt64.self), low: $0.load(fromByteOffset: 8, as: UInt64.self))
        }
    }
}
