import BlobStorage
import Synchronization
public import Syscalls
import Tables

/// What is done without anyone asking for it, by two threads: one commits and makes checkpoints, and never waits for a lock of the file
/// system; the other compacts and cleans, which may take long.
extension VolumeLog {
    func startHousekeepers() {
        guard options.hasHousekeeper, !options.isReadOnly else { return }
        committer.start(self)
        cleaner.start(self)
    }

    /// Whether to go on: not once the storage failed.
    func commitRound(_ wish: Housekeeper.Wish) -> Bool {
        if wish.wantsZeros { attempt { () throws(Failure) in try tail.zeroFillAhead(Self.zerosAheadBytes) } }
        attempt { () throws(Failure) in try commitIfDue() }
        attempt { () throws(Failure) in try checkpointIfDue() }
        tellIfDue()
        return tail.failure == nil
    }

    /// Tells of what is on stable storage by now. Not before a head names a checkpoint of this session: until then a crash goes back
    /// to what was there before.
    private func tellIfDue() {
        let now = Clock.seconds()
        let news: DurableState? = commitLock.withLock {
            guard hasSession.load(ordering: .relaxed), durableMark != toldMark else { return nil }
            let isDue = now - lastTellingSeconds >= options.tellIntervalSeconds || now - lastCommitSeconds >= options.tellPauseSeconds
            // After a failure there is no other round.
            guard isDue || tail.failure != nil else { return nil }
            toldMark = durableMark
            lastTellingSeconds = now
            return durableState
        }
        if let news { options.didBecomeDurable(news) }
    }

    /// Whether to go on: not once the storage failed. Each step by itself, so that one that finds no room does not keep another
    /// from making it.
    func cleaningRound(_ wish: Housekeeper.Wish) -> Bool {
        guard hasSession.load(ordering: .acquiring) else { return true }
        attempt { () throws(Failure) in try clearStrays() }
        // A step at a time, so that room that is wanted need not wait for all of it.
        attempt { () throws(Failure) in try compactSteps() }
        attempt { () throws(Failure) in try cleaning.withLock { () throws(Failure) in try clean() } }
        roomMayBeBack()
        endCleaningRound()
        return tail.failure == nil
    }

    /// One round of upkeep in the caller's thread, for a log without threads of its own.
    func maintain() throws(Failure) {
        guard hasSession.load(ordering: .acquiring) else { return }
        try clearStrays()
        try checkpointIfDue()
        try compactSteps()
        try cleaning.withLock { () throws(Failure) in try clean() }
        roomMayBeBack()
    }

    private func compactSteps() throws(Failure) {
        // What has to be; and what only gives space back while nothing else is to do.
        for _ in 0..<4 { if try !tree.compactIfNeeded(thorough: isIdle) { return } }
    }

    /// Nothing has changed for a while, and nobody has asked for a commit.
    private var isIdle: Bool {
        !hasChanges && commitLock.withLock { Clock.seconds() - lastCommitSeconds >= options.idleSeconds }
    }

    private func commitIfDue() throws(Failure) {
        try commitLock.withLock { () throws(Failure) in
            let isMuch = tail.pendingBytes > Self.backgroundSyncBytes
            guard isMuch || Clock.seconds() - lastCommitSeconds >= options.commitIntervalSeconds else { return }
            if isMuch || hasChanges { try commit(always: isMuch && hasSession.load(ordering: .relaxed)) }
        }
    }

    private func checkpointIfDue() throws(Failure) {
        let isLong = commitLock.withLock { tail.sessionBytes - checkpointBytes } > options.checkpointIntervalBytes
        guard isLong || tree.activeSizeBytes > options.memoryTableBytes else { return }
        try checkpoint()
    }

    private func attempt(_ work: () throws(Failure) -> Void) {
        do { try work() } catch { report("background work failed: \(error)", like: "\(error.kind)") }
    }

    /// Tells of a failure; of one of a kind at most once a minute.
    func report(_ text: String, like kind: String? = nil) { reports.report(text, like: kind) }

    // MARK: Ending

    /// Makes everything durable, puts it into tables, and ends. Nothing may be applied any more. Fails if something that was applied is not
    /// on stable storage.
    public func close() throws(Failure) {
        stop()
        if options.isReadOnly { return }
        if let failure = tail.failure {
            if hasChanges { throw readOnly(failure) }
            return
        }
        try checkpointLock.withLock { () throws(Failure) in
            if hasSession.load(ordering: .relaxed) || hasChanges { try makeCheckpoint(isClean: true) }
        }
        do { try tail.finish() } catch { report("cannot trim a segment: \(error)") }
        _ = reserve.release(for: .committing)
    }

    /// Ends as a crash would: what was not made durable is lost. For a volume that is dropped without being closed.
    public func abandon() {
        stop()
        // It holds the file system, which holds this log.
        setRelocator(nil)
    }

    private func stop() {
        tree.stopCompacting()
        cleaner.stop()
        committer.stop()
    }
}
