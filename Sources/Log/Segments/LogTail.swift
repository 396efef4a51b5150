import BlobStorage
import Records
import Sealing
import Syscalls

/// The writing end of the log: gives out places in the active segment, goes on to a new segment when one is full, and keeps
/// account of what is not yet on stable storage.
///
/// Invariants: frames lie without a gap in the order of their numbers; a place is given out once; a commit's place is given out
/// only when every frame before it is written; after a write or a sync failed nothing is written any more (`poison`).
/// Thread-safe: sealing and writing happen outside of the monitor, at places that are the writer's own.
final class LogTail: @unchecked Sendable {
    // @unchecked: all variables are guarded by `monitor`.
    struct Configuration {
        var segmentSizeBytes: UInt64 = 64 << 20
        /// Room is taken in steps of this size, so that a full disk is met before a frame has its place.
        var allocationStepBytes: UInt64 = 8 << 20
        /// Writers wait for a commit beyond this.
        var maximumUnsyncedBytes: UInt64 = 128 << 20
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
    private let storage: any BlobStorage
    private let keys: KeyHierarchy
    private let pool: BufferPool
    private let monitor = Monitor()
    /// Makes a segment: number, name, and its opening frame's facts.
    private let makeSegment: () throws(Failure) -> ActiveSegment
    private let openingFacts: (_ number: UInt64) -> SegmentOpening
    private let didClose: (_ closed: ActiveSegment, _ next: ActiveSegment) -> Void
    private let releaseReserve: () -> Bool

    private var segment: ActiveSegment?
    private var inFlight = 0
    private var isPaused = false
    private var digests: [Digest32] = []
    /// Segments with frames that are not synced yet; the active one among them.
    private var unsynced: [ActiveSegment] = []
    private var unsyncedBytes: UInt64 = 0
    private var writtenBytes: UInt64 = 0
    private var poison: Failure?
    private var lastCommitEnd: LogPosition?
    /// Appending stops here while zeros are being written ahead.
    private var appendLimit = UInt64.max
    private var isZeroFilling = false

    init(
        storage: any BlobStorage, keys: KeyHierarchy, pool: BufferPool, configuration: Configuration,
        makeSegment: @escaping () throws(Failure) -> ActiveSegment, openingFacts: @escaping (UInt64) -> SegmentOpening,
        didClose: @escaping (ActiveSegment, ActiveSegment) -> Void, releaseReserve: @escaping () -> Bool
    ) {
        self.storage = storage
        self.keys = keys
        self.pool = pool
        self.configuration = configuration
        self.makeSegment = makeSegment
        self.openingFacts = openingFacts
        self.didClose = didClose
        self.releaseReserve = releaseReserve
    }

    /// The failure that ended all writing, if one did.
    var failure: Failure? { monitor.withLock { poison } }
    /// Bytes written in this session.
    var sessionBytes: UInt64 { monitor.withLock { writtenBytes } }
    var pendingBytes: UInt64 { monitor.withLock { unsyncedBytes } }
    var hasStarted: Bool { monitor.withLock { segment != nil } }
    var position: LogPosition? { monitor.withLock { segment?.position } }
    /// Where the last commit ends: all frames after it belong to the next one.
    var commitEnd: LogPosition? { monitor.withLock { lastCommitEnd } }

    /// Ends all writing for good.
    func poison(_ failure: Failure) {
        monitor.withLock {
            if poison == nil { poison = failure }
            monitor.broadcast()
        }
    }

    /// Begins the first segment of the session.
    func start() throws(Failure) {
        let first = try makeSegment()
        try monitor.withLock { () throws(Failure) in
            digests = [try writeOpening(of: first)]
            segment = first
            unsynced = [first]
        }
    }

    // MARK: Frames

    /// Seals and writes one frame of data; it is durable with the next commit.
    func write(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) throws(Failure) -> Reservation {
        let place = try monitor.withLock { () throws(Failure) in try reserve(header.frameSizeBytes, isUrgent: false, hasSlot: true) }
        let digest = try seal(header, payload, at: place)
        monitor.withLock {
            if let slot = place.slot { digests[slot] = digest }
            finishOne()
        }
        return place
    }

    private func seal(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, at place: Reservation) throws(Failure) -> Digest32 {
        do {
            return try pool.withBuffer { (buffer) throws(Failure) -> Digest32 in
                let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<header.frameSizeBytes])
                let digest = FrameSealing.seal(header, payload, at: place.place, with: place.segment.cipher, into: frame)
                try place.segment.blob.write(UnsafeRawBufferPointer(frame), at: place.offset)
                return digest
            }
        } catch {
            // The place stays empty, so nothing after it could ever be recovered.
            monitor.withLock {
                if poison == nil { poison = error }
                finishOne()
            }
            throw error
        }
    }

    private func finishOne() {
        inFlight -= 1
        if inFlight == 0 { monitor.broadcast() }
    }

    /// The caller holds the monitor. Waits while a commit takes its place, or too much is unsynced.
    private func reserve(_ size: Int, isUrgent: Bool, hasSlot: Bool) throws(Failure) -> Reservation {
        while true {
            if let poison { throw poison }
            guard let segment else { preconditionFailure("the session has been started") }
            if !isUrgent, isPaused || unsyncedBytes > configuration.maximumUnsyncedBytes || segment.offset + UInt64(size) > appendLimit {
                monitor.wait()
                continue
            }
            if !isUrgent, segment.offset + UInt64(size) > configuration.segmentSizeBytes, segment.frame > 1 {
                try roll(isUrgent: false)
                continue
            }
            try allocate(segment, through: segment.offset + UInt64(size), isUrgent: isUrgent)
            return take(segment, size, hasSlot: hasSlot)
        }
    }

    private func take(_ segment: ActiveSegment, _ size: Int, hasSlot: Bool) -> Reservation {
        let slot = hasSlot ? digests.count : nil
        if hasSlot { digests.append(.zero) }
        unsyncedBytes += UInt64(size)
        let place = Reservation(
            segment: segment, offset: segment.offset, frame: segment.frame, unsyncedBytes: unsyncedBytes, slot: slot)
        segment.offset += UInt64(size)
        segment.frame += 1
        inFlight += 1
        writtenBytes += UInt64(size)
        return place
    }

    private func allocate(_ segment: ActiveSegment, through end: UInt64, isUrgent: Bool) throws(Failure) {
        // A closing frame always has its room.
        let needed = end + UInt64(Self.closingFrameSizeBytes)
        if needed <= segment.allocatedEnd { return }
        let step = configuration.allocationStepBytes
        let goal = (needed + step - 1) / step * step
        do { try segment.blob.allocate(segment.allocatedEnd..<goal) } catch {
            guard error.kind == .noSpace else { throw error }
            guard isUrgent, releaseReserve() else {
                try segment.blob.allocate(segment.allocatedEnd..<needed)
                segment.allocatedEnd = needed
                return
            }
            try segment.blob.allocate(segment.allocatedEnd..<needed)
            segment.allocatedEnd = needed
            return
        }
        segment.allocatedEnd = goal
    }

    // MARK: Going on to the next segment

    static let closingFrameSizeBytes = FrameHeader(
        kind: .closing, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: SegmentClosing.sizeBytes
    ).frameSizeBytes

    /// The caller holds the monitor. Closes the active segment with the name of the next one.
    private func roll(isUrgent: Bool) throws(Failure) {
        guard let old = segment else { return }
        let next = try makeSegment()
        let opening = try writeOpening(of: next)
        var payload = ByteWriter(capacityBytes: SegmentClosing.sizeBytes)
        SegmentClosing(nextNumber: next.number, nextBlob: next.blobID).encode(into: &payload)
        let closing = try writeSmall(.closing, payload.readable, to: old)
        digests.append(closing)
        digests.append(opening)
        segment = next
        unsynced.append(next)
        didClose(old, next)
    }

    private func writeOpening(of segment: ActiveSegment) throws(Failure) -> Digest32 {
        var payload = ByteWriter(capacityBytes: 128)
        openingFacts(segment.number).encode(into: &payload)
        let step = configuration.allocationStepBytes
        try segment.blob.allocate(0..<step)
        segment.allocatedEnd = step
        return try writeSmall(.opening, payload.readable, to: segment)
    }

    private func writeSmall(_ kind: FrameKind, _ payload: UnsafeRawBufferPointer, to segment: ActiveSegment) throws(Failure) -> Digest32 {
        let header = FrameHeader(kind: kind, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: payload.count)
        let size = header.frameSizeBytes
        let place = segment.place(offset: segment.offset, frame: segment.frame)
        return try pool.withBuffer { (buffer) throws(Failure) -> Digest32 in
            let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<size])
            let digest = FrameSealing.seal(header, payload, at: place, with: segment.cipher, into: frame)
            try segment.blob.write(UnsafeRawBufferPointer(frame), at: segment.offset)
            segment.offset += UInt64(size)
            segment.frame += 1
            unsyncedBytes += UInt64(size)
            return digest
        }
    }

    // MARK: Commits

    /// What a commit needs to know of its place.
    struct CommitPlace {
        /// Where its first frame starts.
        var start: LogPosition
        var reservations: [Reservation]
        var framesDigest: Digest32
    }

    /// Waits until every frame that has a place is written, then gives the commit's frames theirs, one after the other. Frames of data may
    /// follow at once. One commit at a time: the caller sees to that.
    func reserveCommit(_ headers: [FrameHeader]) throws(Failure) -> CommitPlace {
        try monitor.withLock { () throws(Failure) -> CommitPlace in
            isPaused = true
            defer {
                isPaused = false
                monitor.broadcast()
            }
            let size = headers.reduce(0) { $0 + $1.frameSizeBytes }
            while inFlight > 0 || (segment?.offset ?? 0) + UInt64(size) > appendLimit { monitor.wait() }
            if let poison { throw poison }
            if let segment, segment.offset + UInt64(size) > configuration.segmentSizeBytes, segment.frame > 1 { try roll(isUrgent: true) }
            guard let segment else { preconditionFailure("the session has been started") }
            try allocate(segment, through: segment.offset + UInt64(size), isUrgent: true)
            var hasher = DigestHasher()
            for digest in digests { hasher.update(digest) }
            digests.removeAll(keepingCapacity: true)
            let start = segment.position
            let reservations = headers.map { take(segment, $0.frameSizeBytes, hasSlot: false) }
            lastCommitEnd = segment.position
            return CommitPlace(start: start, reservations: reservations, framesDigest: hasher.finish())
        }
    }

    func writeCommitFrame(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, at place: Reservation) throws(Failure) {
        _ = try seal(header, payload, at: place)
        monitor.withLock { finishOne() }
    }

    /// Puts everything written so far on stable storage: names of new segments, then each segment that has unsynced frames. A failure
    /// is never tried again: the kernel may have dropped what it could not write.
    func sync() throws(Failure) {
        let (segments, bytes) = monitor.withLock { (unsynced, unsyncedBytes) }
        do {
            let unnamed = segments.filter { !$0.hasDurableName }
            if !unnamed.isEmpty { try storage.syncNames(of: unnamed.map(\.blobID)) }
            for segment in segments { try segment.blob.sync() }
            monitor.withLock {
                unnamed.forEach { $0.hasDurableName = true }
                unsynced.removeAll { done in done !== segment && segments.contains { $0 === done } }
                unsyncedBytes -= min(bytes, unsyncedBytes)
                monitor.broadcast()
            }
        } catch {
            poison(error)
            throw error
        }
    }

    /// Writes zeros ahead of the tail, so that small commits overwrite what is allocated and the storage's own file system need not commit
    /// with each of them. Only useful while many small commits come.
    func zeroFillAhead(_ bytes: UInt64) throws(Failure) {
        let work: (segment: ActiveSegment, range: Range<UInt64>)? = monitor.withLock {
            guard let segment, !isZeroFilling, poison == nil else { return nil }
            let start = max(segment.zeroedEnd, (segment.offset + 65_535) / 65_536 * 65_536)
            if start > segment.offset + bytes / 2 { return nil }
            isZeroFilling = true
            appendLimit = start
            return (segment, start..<start + bytes)
        }
        guard let work else { return }
        defer {
            monitor.withLock {
                isZeroFilling = false
                appendLimit = .max
                monitor.broadcast()
            }
        }
        try work.segment.blob.zeroFill(work.range)
        try work.segment.blob.sync()
        monitor.withLock {
            work.segment.zeroedEnd = work.range.upperBound
            work.segment.allocatedEnd = max(work.segment.allocatedEnd, work.range.upperBound)
        }
    }

    /// Cuts what was allocated ahead; for closing. No frame may be in flight.
    func finish() throws(Failure) {
        guard let segment = monitor.withLock({ segment }) else { return }
        try segment.blob.truncate(to: segment.offset)
    }
}
