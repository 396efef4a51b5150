import BlobStorage
import Glibc
public import Records
import Sealing
import Synchronization
public import Syscalls
import Tables

/// Moves what is live of a chunk to a new place and gives the bytes moved. Given a chunk and what its header says of it (inode,
/// offset in the file), the file system looks which extents still point there, writes those runs again and swaps the extents that
/// have not changed. It may take the file system's locks: of the log's only `cleaning` is held, which no caller of the file system
/// waits for.
public typealias Relocator = @Sendable (_ chunk: ChunkLocation, _ inode: UInt64, _ fileOffset: UInt64) throws(Failure) -> Int

extension VolumeLog {
    /// Makes the room that garbage takes usable again: a little at a time, and when room is wanted, until there is none to be had. The
    /// caller holds `cleaning`.
    func clean() throws(Failure) {
        try dropEmptySegments()
        while try cleanOneOrMore(), isRoomWanted, !cleaner.isDismissed {
            try dropEmptySegments(atOnce: true)
            roomMayBeBack()
        }
    }

    /// Moves the live data out of the emptiest segment, so that the next checkpoints can delete it. When room is wanted, out of as many
    /// as there is room to move to.
    /// - Returns: whether a segment was emptied.
    private func cleanOneOrMore() throws(Failure) -> Bool {
        guard let relocate = relocator.withLock({ $0 }) else { return false }
        if isRoomWanted, victim() == nil, victim(olderThan: .max) != nil {
            // What was written since the last checkpoint holds garbage that is wanted now.
            try checkpoint()
        }
        var emptied = 0
        var movedBytes = 0
        var room = isRoomWanted ? try roomForMoving() : .max
        while emptied < 16, !cleaner.isDismissed, let victim = victim(), victim.liveBytes < room {
            room -= victim.liveBytes
            do throws(Failure) { movedBytes += try clean(victim, relocate) } catch {
                if tail.failure != nil || cleaner.isDismissed { throw error }
                guard error.kind == .noSpace else {
                    leave(victim, because: error)
                    continue
                }
                // What was emptied before gives the room to go on.
                if emptied > 0 { break }
                guard releaseReserve(for: .movingAtLast) else { throw error }
                continue
            }
            emptied += 1
            if !isRoomWanted { break }
        }
        changes.withLock {
            counters.cleanedSegments += UInt64(emptied)
            counters.cleanedBytes += UInt64(max(0, movedBytes))
        }
        return emptied > 0
    }

    private func victim() -> SegmentFacts? {
        // Younger ones may still be emptied by themselves.
        victim(olderThan: commitLock.withLock { head?.checkpoint.segment ?? 0 })
    }

    /// The segment whose cleaning gives most room for the least copying; nil if none is worth it.
    private func victim(olderThan limit: UInt64) -> SegmentFacts? {
        changes.withLock {
            let garbage = segments.totals.garbageBytes
            let isShort = isFull || isShortOfRoom
            // Little garbage in all is cheaper kept than moved.
            guard garbage > max(segments.totals.sizeBytes / 8, 4 << 20) || isShort else { return nil }
            // And where there was none that was worth it, more garbage is what may change that.
            if !isShort, let before = vainSearches[limit], garbage <= before { return nil }
            let found = segments.values.filter { state in
                let facts = state.facts
                return !state.isActive && !state.isUncleanable && state.unclaimedBytes == 0 && facts.number < limit
                    && facts.liveBytes > 0 && Double(facts.liveBytes) < options.cleaningThreshold * Double(facts.sizeBytes)
            }.map(\.facts).min { $0.utilization < $1.utilization }
            if vainSearches.count > 4 { vainSearches = [:] }
            vainSearches[limit] = found == nil ? garbage : nil
            return found
        }
    }

    /// Data that cannot be read or moved stays where it is, and must not keep other segments from being cleaned: this one is not tried
    /// again in this session.
    private func leave(_ victim: SegmentFacts, because failure: Failure) {
        changes.withLock { segments.update(victim.number) { $0.isUncleanable = true } }
        report("cannot clean segment \(victim.blob): \(failure)")
    }

    private func clean(_ victim: SegmentFacts, _ relocate: Relocator) throws(Failure) -> Int {
        let reader = try segmentReader(victim.number)
        movingThread.store(UInt(pthread_self()), ordering: .relaxed)
        defer { movingThread.store(0, ordering: .relaxed) }
        var offset: UInt64 = 0
        var frame: UInt32 = 0
        var moved = 0
        while offset < victim.sizeBytes, !cleaner.isDismissed {
            // Extents have 32 bits for the place of a frame.
            guard let header = try reader.header(at: offset, frame: frame), let place = UInt32(exactly: offset) else {
                throw Failure(
                    .damaged, "a frame at byte \(offset) does not authenticate", object: "\(storage.name): segment \(victim.blob)")
            }
            if header.kind == .chunk {
                let chunk = ChunkLocation(
                    segment: victim.number, frameOffset: place, frame: frame, sizeBytes: UInt32(header.payloadSizeBytes),
                    blockSizeLog2: header.blockSizeLog2)
                moved += try relocate(chunk, header.first, header.second)
            }
            offset += UInt64(header.frameSizeBytes)
            frame += 1
        }
        if cleaner.isDismissed { return moved }
        // Data that could not be found by its header stays where it is, and the segment is not tried again in this session.
        changes.withLock {
            segments.update(victim.number) { $0.isUncleanable = $0.facts.liveBytes > 0 }
        }
        return moved
    }

    /// Whether the calling thread is the one that moves data for the cleaner.
    var isMovingThread: Bool { movingThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// A checkpoint is what lets empty segments and replaced tables go, and another one is what deletes them; while there are some,
    /// they are made even if the log is short. Not for a trifle while the storage is merely getting full: each checkpoint flushes tables,
    /// which are soon merged and replaced, and so there would be no end of them.
    private func dropEmptySegments(atOnce: Bool = false) throws(Failure) {
        let isShort = isShortOfRoomNow
        let isUrgent = isShort || isRoomWanted
        let empty = changes.withLock { segments.totals.emptyBytes }
        let isMuch = empty > Int64(options.segmentSizeBytes / 2)
        var pauseSeconds = 20.0
        if isUrgent, isMuch { pauseSeconds = 5 }
        if isShort || atOnce { pauseSeconds = 0 }
        guard empty > (isShort || atOnce ? 0 : 16 << 20) || isUrgent && isMuch || waitingObsolete > 0 || tree.hasObsolete else { return }
        let now = Clock.seconds()
        guard now - lastDropSeconds >= pauseSeconds else { return }
        lastDropSeconds = now
        try checkpoint()
        if isUrgent, waitingObsolete > 0 { try checkpoint() }
    }
}

extension SegmentFacts {
    var utilization: Double { sizeBytes == 0 ? 0 : Double(liveBytes) / Double(sizeBytes) }
}
