import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls

/// The writing end of the log: gives out places in the active segment, goes on to a new segment when one is full, and keeps
/// account of what is not yet on stable storage.
///
/// Invariants: frames lie without a gap in the order of their numbers; a place is given out once, and nothing but one frame is ever
/// sealed for it; a commit's place is given out only when every frame before it is written; after a write or a sync in a segment that
/// the log leads to has failed, nothing is written any more (`poison`); a segment counts as synced only once it is closed, and by a
/// sync that began after its last write ended.
/// Thread-safe: sealing and writing happen outside of the monitor, at places that are the writer's own.
final class LogTail: @unchecked Sendable {
    // @unchecked: all variables are guarded by `monitor`.
    struct Configuration {
        var segmentSizeBytes: UInt64 = 64 << 20
        /// Room is taken in steps of this size, so that a full disk is met before a frame has its place.
        var allocationStepBytes: UInt64 = 8 << 20
    }

    /// What the tail asks of the log around it. Called with the monitor held, mostly.
    struct Actions {
        /// Makes an empty segment under a new name.
        var makeSegment: () throws(Failure) -> ActiveSegment
        /// Forgets a segment in which nothing was ever written that counts, and deletes its blob.
        var discardSegment: (ActiveSegment) -> Void
        var openingFacts: (_ number: UInt64) -> SegmentOpening
        var didClose: (_ closed: ActiveSegment) -> Void
        /// Gives back what that use may have of the room kept for a full disk; false if there was none.
        var releaseReserve: (Reserve.Use) -> Bool
        /// How often room was given back so far.
        var releaseCount: () -> Int
    }

    /// Where a frame goes.
    struct Reservation {
        var segment: ActiveSegment
        var offset: UInt64
        var frame: UInt32
        /// What was not on stable storage yet, this frame included.
        var unsyncedBytes: UInt64
        /// Index of the frame's digest among those since the last commit; nil for frames of commits, which their own digest covers.
        var slot: Int?

        var place: FramePlace { segment.place(offset: offset, frame: frame) }
    }

    let configuration: Configuration
    let storage: any BlobStorage
    let pool: BufferPool
    let actions: Actions
    let monitor = Monitor()

    // Guarded by `monitor`; of the files of this class only.
    var segment: ActiveSegment?
    private var inFlight = 0
    private var inFlightBytes: UInt64 = 0
    var isPaused = false
    var digests: [Digest32] = []
    /// Segments with frames that are not synced yet; the active one among them.
    var unsynced: [ActiveSegment] = []
    var unsyncedBytes: UInt64 = 0
    private var writtenBytes: UInt64 = 0
    var poison: Failure? { didSet { hasFailed.store(poison != nil, ordering: .releasing) } }
    var lastCommitEnd: LogPosition?
    var isZeroFilling = false

    init(storage: any BlobStorage, pool: BufferPool, configuration: Configuration, actions: Actions) {
        self.storage = storage
        self.pool = pool
        self.configuration = configuration
        self.actions = actions
    }

    /// Whether there is `poison`, for who asks without waiting for the monitor, which is held over I/O when a new segment begins.
    private let hasFailed = Atomic<Bool>(false)

    /// The failure that ended all writing, if one did.
    var failure: Failure? { hasFailed.load(ordering: .acquiring) ? monitor.withLock { poison } : nil }
    /// Bytes written in this session.
    var sessionBytes: UInt64 { monitor.withLock { writtenBytes } }
    var pendingBytes: UInt64 { monitor.withLock { unsyncedBytes } }
    /// Where the last commit ends: all frames after it belong to the next one.
    var commitEnd: LogPosition? { monitor.withLock { lastCommitEnd } }

    /// Ends all writing for good.
    func poison(_ failure: Failure) {
        monitor.withLock { poisonHeld(failure) }
    }

    /// The caller holds the monitor.
    func poisonHeld(_ failure: Failure) {
        if poison == nil { poison = failure }
        monitor.broadcast()
    }

    /// Begins the first segment of the session and gives its start. May be called again when it failed.
    func start() throws(Failure) -> LogPosition {
        try monitor.withLock { () throws(Failure) -> LogPosition in
            if let poison { throw poison }
            let (first, opening) = try makeOpened(isUrgent: true)
            digests = [opening]
            segment = first
            unsynced = [first]
            return LogPosition(segment: first.number, blob: first.blobID, offset: 0, frame: 0)
        }
    }

    // MARK: Frames

    /// Seals and writes one frame of data; it is durable with the next commit. `didReserve` is told of its segment while the frame is in
    /// flight: no commit is made meanwhile, so no checkpoint can take the segment for one that nothing will point to.
    func write(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, didReserve: (_ segment: UInt64) -> Void = { _ in }
    ) throws(Failure) -> Reservation {
        let place = try monitor.withLock { () throws(Failure) in try reserve(header.frameSizeBytes) }
        didReserve(place.segment.number)
        try seal(header, payload, at: place)
        return place
    }

    /// Seals a frame into its place, writes it, and gives the place back as written.
    func seal(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, at place: Reservation) throws(Failure) {
        do {
            let digest = try pool.withBuffer { (buffer) throws(Failure) -> Digest32 in
                let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<header.frameSizeBytes])
                let digest = FrameSealing.seal(header, payload, at: place.place, with: place.segment.cipher, into: frame)
                try write(UnsafeRawBufferPointer(frame), to: place.segment, at: place.offset, header.kind.use)
                return digest
            }
            monitor.withLock {
                if let slot = place.slot { digests[slot] = digest }
                finish(place, header.frameSizeBytes)
            }
        } catch {
            // The place stays empty, so nothing after it could ever be recovered.
            monitor.withLock {
                poisonHeld(error)
                finish(place, header.frameSizeBytes)
            }
            throw error
        }
    }

    /// Writes a sealed frame. There may be no room for it although room was allocated: a quota on a storage that never overwrites in place
    /// counts it again. The same bytes are written once more then, with the room that was kept for that: no page was lost, as when a
    /// sync fails.
    func write(_ frame: UnsafeRawBufferPointer, to segment: ActiveSegment, at offset: UInt64, _ use: Reserve.Use) throws(Failure) {
        var before = actions.releaseCount()
        var failure: Failure
        do { return try segment.blob.write(frame, at: offset) } catch { failure = error }
        // A place that stays empty ends the log, so in the end data may have what is kept for commits, too.
        for use in [use, .committing] {
            // What another frame that found no room had given back meanwhile will do as well.
            guard failure.kind == .noSpace, actions.releaseReserve(use) || actions.releaseCount() != before else { continue }
            before = actions.releaseCount()
            do { return try segment.blob.write(frame, at: offset) } catch { failure = error }
        }
        throw failure
    }

    private func finish(_ place: Reservation, _ size: Int) {
        place.segment.inFlight -= 1
        inFlight -= 1
        inFlightBytes -= UInt64(size)
        if inFlight == 0 { monitor.broadcast() }
    }

    /// The caller holds the monitor. Waits while a commit takes its place.
    private func reserve(_ size: Int) throws(Failure) -> Reservation {
        while true {
            if let poison { throw poison }
            guard let segment else { preconditionFailure("the session has been started") }
            if isPaused || isBlocked(segment, size) {
                monitor.wait()
                continue
            }
            if isFull(segment, size) {
                try roll(isUrgent: false)
                continue
            }
            try allocate(segment, through: segment.offset + UInt64(size), isUrgent: false)
            return take(segment, size, hasSlot: true)
        }
    }

    /// Whether zeros are being written where this frame, or the closing frame after it, would go.
    func isBlocked(_ segment: ActiveSegment, _ size: Int) -> Bool {
        segment.offset + UInt64(size + Self.closingFrameSizeBytes) > segment.appendLimit
    }

    func isFull(_ segment: ActiveSegment, _ size: Int) -> Bool {
        segment.offset + UInt64(size) > configuration.segmentSizeBytes && segment.frame > 1
    }

    func take(_ segment: ActiveSegment, _ size: Int, hasSlot: Bool) -> Reservation {
        let slot = hasSlot ? digests.count : nil
        if hasSlot { digests.append(.zero) }
        unsyncedBytes += UInt64(size)
        let place = Reservation(
            segment: segment, offset: segment.offset, frame: segment.frame, unsyncedBytes: unsyncedBytes, slot: slot)
        segment.offset += UInt64(size)
        segment.frame += 1
        segment.inFlight += 1
        inFlight += 1
        inFlightBytes += UInt64(size)
        writtenBytes += UInt64(size)
        return place
    }

    /// The caller holds the monitor. Waits until every frame that has a place is written, so that their digests are all known.
    func waitForWrites(beforeCommitOf size: Int) {
        while poison == nil, let segment, inFlight > 0 || isBlocked(segment, size) { monitor.wait() }
    }

    // MARK: Syncing

    /// Puts everything written so far on stable storage: names of new segments, then each segment that has unsynced frames. A failure
    /// is never tried again: the kernel may have dropped what it could not write.
    func sync() throws(Failure) {
        let (segments, closed, bytes) = monitor.withLock {
            // A frame that is still being written may miss the sync that begins now: its segment is not done with.
            (unsynced, unsynced.filter { $0 !== segment && $0.inFlight == 0 }, unsyncedBytes - min(inFlightBytes, unsyncedBytes))
        }
        do {
            let unnamed = segments.filter { !$0.hasDurableName }
            if !unnamed.isEmpty { try storage.syncNames(of: unnamed.map(\.blobID)) }
            for segment in segments { try segment.blob.sync() }
            monitor.withLock {
                unnamed.forEach { $0.hasDurableName = true }
                unsynced.removeAll { done in closed.contains { $0 === done } }
                unsyncedBytes -= min(bytes, unsyncedBytes)
            }
        } catch {
            poison(error)
            throw error
        }
    }
}

extension FrameKind {
    /// What a frame of this kind may have of the reserve. Data may never have all of it, or nothing would be left to commit a deletion.
    var use: Reserve.Use {
        switch self {
        case .chunk, .opening: .moving
        case .commit, .commitPart, .closing: .committing
        }
    }
}
