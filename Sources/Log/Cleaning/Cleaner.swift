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
            try dropEmptySegments()
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
                // What was emptied before gives the room to go on.
                guard error.kind == .noSpace, emptied > 0 else { throw error }
                break
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
            let total = segments.values.reduce(Int64(0)) { $0 + Int64($1.facts.sizeBytes) }
            // Little garbage in all is cheaper kept than moved.
            guard garbageBytes > max(total / 8, 4 << 20) || isFull || isShortOfRoom else { return nil }
            return segments.values.filter { state in
                let facts = state.facts
                return !state.isActive && !state.isUncleanable && state.unclaimedBytes == 0 && facts.number < limit
                    && facts.liveBytes > 0 && Double(facts.liveBytes) < options.cleaningThreshold * Double(facts.sizeBytes)
            }.map(\.facts).min { $0.utilization < $1.utilization }
        }
    }

    private func clean(_ victim: SegmentFacts, _ relocate: Relocator) throws(Failure) -> Int {
        let reader = try segmentReader(victim.number)
        movingThread.store(UInt(pthread_self()), ordering: .relaxed)
        defer { movingThread.store(0, ordering: .relaxed) }
        var offset: UInt64 = 0
        var frame: UInt32 = 0
        var moved = 0
        while offset < victim.sizeBytes, !cleaner.isDismissed {
            guard let header = try reader.header(at: offset, frame: frame) else {
                changes.withLock { segments[victim.number]?.isUncleanable = true }
                throw Failure(
                    .damaged, "a frame at byte \(offset) does not authenticate", object: "\(storage.name): segment \(victim.blob)")
            }
            if header.kind == .chunk {
                let chunk = ChunkLocation(
                    segment: victim.number, frameOffset: UInt32(offset), frame: frame, sizeBytes: UInt32(header.payloadSizeBytes),
                    blockSizeLog2: header.blockSizeLog2)
                moved += try relocate(chunk, header.first, header.second)
            }
            offset += UInt64(header.frameSizeBytes)
            frame += 1
        }
        if cleaner.isDismissed { return moved }
        // Data that could not be found by its header stays where it is, and the segment is not tried again in this session.
        changes.withLock {
            if let state = segments[victim.number], state.facts.liveBytes > 0 { segments[victim.number]?.isUncleanable = true }
        }
        return moved
    }

    /// Whether the calling thread is the one that moves data for the cleaner.
    var isMovingThread: Bool { movingThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// A checkpoint is what lets empty segments and replaced tables go, and another one is what deletes them; while there are some,
    /// they are made even if the log is short.
    private func dropEmptySegments() throws(Failure) {
        let now = Clock.seconds()
        let isUrgent = isRoomWanted
        let garbage = changes.withLock {
            let empty = segments.values.filter { !$0.isActive && $0.facts.liveBytes == 0 && $0.unclaimedBytes == 0 }
            return empty.reduce(UInt64(0)) { $0 + $1.facts.sizeBytes }
        }
        guard garbage > (isUrgent ? 0 : 16 << 20) || waitingObsolete > 0 || tree.hasObsolete else { return }
        guard isUrgent || now - lastDropSeconds > 20 else { return }
        lastDropSeconds = now
        try checkpoint()
        if isUrgent, waitingObsolete > 0 { try checkpoint() }
    }
}

extension SegmentFacts {
    var utilization: Double { sizeBytes == 0 ? 0 : Double(liveBytes) / Double(sizeBytes) }
}
