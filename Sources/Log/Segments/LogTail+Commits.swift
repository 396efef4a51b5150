import BlobStorage
import Sealing
import Syscalls

extension LogTail {
    /// What a commit needs to know of its place.
    struct CommitPlace {
        /// Where its first frame starts.
        var start: LogPosition
        var reservations: [Reservation]
        var framesDigest: Digest32
    }

    /// Waits until every frame that has a place is written, then gives the commit's frames theirs, one after the other. Frames of data may
    /// follow at once. One commit at a time: the caller sees to that. When it fails, no place was taken.
    func reserveCommit(_ headers: [FrameHeader]) throws(Failure) -> CommitPlace {
        try monitor.withLock { () throws(Failure) -> CommitPlace in
            isPaused = true
            defer {
                isPaused = false
                monitor.broadcast()
            }
            let size = headers.reduce(0) { $0 + $1.frameSizeBytes }
            waitForWrites(beforeCommitOf: size)
            if let poison { throw poison }
            if let segment, isFull(segment, size) { try roll(isUrgent: true) }
            guard let segment else { preconditionFailure("the session has been started") }
            try allocate(segment, through: segment.offset + UInt64(size), isUrgent: true)
            var hasher = DigestHasher()
            for digest in digests { hasher.update(digest) }
            digests.removeAll(keepingCapacity: digests.count < 4096)
            let start = segment.position
            let reservations = headers.map { take(segment, $0.frameSizeBytes, hasSlot: false) }
            lastCommitEnd = segment.position
            return CommitPlace(start: start, reservations: reservations, framesDigest: hasher.finish())
        }
    }

    // MARK: Zeros ahead

    /// Whether so many zeros ahead of the tail are at least half used up.
    func wantsZeros(_ bytes: UInt64) -> Bool { monitor.withLock { zeroStart(bytes) != nil } }

    private func zeroStart(_ bytes: UInt64) -> UInt64? {
        // Where nothing is overwritten in place, zeros would only take room twice.
        guard let segment, !isZeroFilling, poison == nil, storage.overwritesInPlace else { return nil }
        let start = max(segment.zeroedEnd, (segment.offset + UInt64(Self.closingFrameSizeBytes) + 65_535) / 65_536 * 65_536)
        return start > segment.offset + bytes / 2 + 65_536 || start >= configuration.segmentSizeBytes ? nil : start
    }

    /// Writes zeros ahead of the tail, so that small commits overwrite what is allocated and the storage's own file system need not commit
    /// with each of them. Only useful while many small commits come.
    func zeroFillAhead(_ bytes: UInt64) throws(Failure) {
        let work: (segment: ActiveSegment, range: Range<UInt64>)? = monitor.withLock {
            guard let segment, let start = zeroStart(bytes) else { return nil }
            isZeroFilling = true
            segment.appendLimit = start
            return (segment, start..<start + bytes)
        }
        guard let work else { return }
        // No room for zeros is no failure: frames come without them. A failed sync is one: it may have been told of frames that were
        // lost, and no later sync would be told of them again.
        var hasZeros = true
        var failure: Failure?
        do throws(Failure) { try work.segment.blob.zeroFill(work.range) } catch {
            hasZeros = false
            if error.kind != .noSpace { failure = error }
        }
        do throws(Failure) { if hasZeros { try work.segment.blob.sync() } } catch { failure = error }
        endZeroFill(of: work.segment, through: hasZeros ? work.range.upperBound : nil, failure)
        if let failure { throw failure }
    }

    private func endZeroFill(of filled: ActiveSegment, through end: UInt64?, _ failure: Failure?) {
        monitor.withLock {
            isZeroFilling = false
            filled.appendLimit = .max
            if let failure { poisonHeld(failure) }
            if let end {
                filled.zeroedEnd = end
                filled.allocatedEnd = max(filled.allocatedEnd, end)
            }
            monitor.broadcast()
            // Zeros behind the closing frame are waste, no more.
            if filled !== segment { try? filled.blob.truncate(to: filled.offset) }
        }
    }

    /// Cuts what was allocated ahead; for closing. No frame may be in flight.
    func finish() throws(Failure) {
        guard let segment = monitor.withLock({ segment }) else { return }
        try segment.blob.truncate(to: segment.offset)
    }
}
