import BlobStorage
import Synchronization
import Syscalls

/// What the storage said of its room, and what this volume had done by then: it is asked again only when that is more.
struct RoomLook {
    var writtenBytes = UInt64.max
    var deletions = 0
    var isLow = false
}

/// Room on a storage that is full, or nearly so.
extension VolumeLog {
    /// The reserve, or a part of it, is given up: from now on only what makes the volume smaller is taken, until there is room again.
    func releaseReserve(for use: Reserve.Use) -> Bool {
        // In this order: whoever takes the reserve meanwhile finds that it is not whole, or is overruled.
        let isReleased = reserve.release(for: use)
        let isNew = changes.withLock {
            defer { isFull = true }
            return !isFull
        }
        if isNew { cleaner.kick() }
        return isReleased
    }

    /// A write found no room: what is garbage is to go now.
    func wantRoom() {
        let isNew = changes.withLock {
            defer { isShortOfRoom = true }
            return !isShortOfRoom
        }
        // Not at each write that fails: while room is wanted, the cleaner looks for it each second anyway.
        if isNew { cleaner.kick() }
    }

    /// Whether to clean without regard to what it costs: a write found no room, or the next ones will.
    var isRoomWanted: Bool {
        if isShortOfRoomNow { return true }
        let (written, deletions) = (tail.sessionBytes, changes.withLock { self.deletions })
        return roomLook.withLock { look in
            if look.writtenBytes == written, look.deletions == deletions { return look.isLow }
            guard let capacity = try? storage.capacity() else { return false }
            look = RoomLook(
                writtenBytes: written, deletions: deletions, isLow: capacity.availableBytes < min(capacity.totalBytes / 8, 1 << 30))
            return look.isLow
        }
    }

    /// Whether a write found no room.
    var isShortOfRoomNow: Bool { changes.withLock { isFull || isShortOfRoom } }

    /// What may be filled with moved data before something is deleted. A part of the free room and of the reserve stays for the
    /// checkpoints that let the emptied segments go.
    func roomForMoving() throws(Failure) -> Int64 {
        let free = try storage.capacity().availableBytes + reserve.bytesForMoving
        return Int64(min(free - min(free, max(free / 4, 2 << 20)), 1 << 40))
    }

    /// Takes the reserve again where there is room for it, and lets writers go on.
    func roomMayBeBack() {
        // A reserve that was never taken, or only in part, is tried again now and then.
        guard isShortOfRoomNow || reserve.isDue(at: Clock.seconds()), reserve.take() else { return }
        changes.withLock {
            // Somebody may have needed it at once.
            guard reserve.isHeld else { return }
            isFull = false
            isShortOfRoom = false
            changes.broadcast()
        }
    }

    /// Blobs were deleted.
    func roomCameBack() {
        changes.withLock {
            deletions += 1
            hopelessGarbageBytes = .min
        }
        roomMayBeBack()
        changes.withLock { changes.broadcast() }
    }

    func endCleaningRound() {
        changes.withLock {
            cleaningRounds += 1
            changes.broadcast()
        }
    }

    /// Waits for the cleaner to make room, for a writer that found none. The writer should hold no lock that the cleaner needs; if it does,
    /// both are held up until the time is over, no more.
    /// Not more wait at a time than may: who waits is a worker that serves everybody, and deleting is what makes room.
    /// - Returns: whether blobs were deleted, so that it makes sense to try again.
    func waitForRoom() -> Bool {
        guard options.hasHousekeeper, !isMovingThread else { return false }
        wantRoom()
        return changes.withLock {
            let garbage = segments.totals.garbageBytes
            guard roomWaiters < options.roomWaiters, garbage > Int64(options.segmentSizeBytes / 2), garbage / 2 > hopelessGarbageBytes
            else { return false }
            roomWaiters += 1
            defer { roomWaiters -= 1 }
            let (before, lastRound, end) = (deletions, cleaningRounds + 2, Clock.seconds() + 30)
            // The round that is on now may have looked already.
            while deletions == before, cleaningRounds < lastRound, Clock.seconds() < end { _ = changes.wait(seconds: 1) }
            if deletions == before { hopelessGarbageBytes = garbage }
            return deletions != before
        }
    }
}
