import BlobStorage
import Records
import Sealing
import Synchronization
public import Syscalls
import Tables

extension VolumeLog {
    /// Begins writing, if that has not been done: a new segment whose first commit is a checkpoint, and a head that names it. Only then do
    /// commits in it count, since nothing in the log before leads here. When it fails it can be called again. The caller holds
    /// `commitLock`, and has captured nothing.
    func startSession() throws(Failure) {
        if hasSession.load(ordering: .relaxed) { return }
        if let failure = tail.failure { throw readOnly(failure) }
        reserve.take(atStart: true)
        // A checkpoint that no head came to name stays in the log when this is tried again: it is replayed, after the mark before it.
        let start: (position: LogPosition, mark: CommitMark)
        if let made = sessionStart { start = made } else { start = (try tail.start(), mark) }
        sessionStart = start
        let facts = changes.withLock { committedFacts() }
        try writeCheckpoint(replayFrom: start.position, replayMark: start.mark, facts: facts, isClean: false)
        changes.withLock { durableMark = mark }
        hasSession.store(true, ordering: .releasing)
    }

    /// What the log says of the segments up to the last commit: without the deltas that will come with the next one. The caller
    /// holds `changes`.
    private func committedFacts() -> [UInt64: SegmentFacts] {
        segments.facts.mapValues { facts in
            var facts = facts
            facts.liveBytes -= pendingLive[facts.number] ?? 0
            return facts
        }
    }

    /// Writes everything that is only in the log to tables and makes a checkpoint, so that mounting need not replay it. Commits and
    /// reads go on meanwhile.
    public func checkpoint() throws(Failure) { try checkpointLock.withLock { () throws(Failure) in try makeCheckpoint(isClean: false) } }

    /// The caller holds `checkpointLock`.
    func makeCheckpoint(isClean: Bool) throws(Failure) {
        var facts: [UInt64: SegmentFacts] = [:]
        var from: (position: LogPosition, mark: CommitMark)?
        try commitLock.withLock { () throws(Failure) in
            if let failure = tail.failure { throw readOnly(failure) }
            if !hasSession.load(ordering: .relaxed), !hasChanges { return }
            try startSession()
            facts = capture(freezing: true)
            try writeBody()
            guard let position = tail.commitEnd else { preconditionFailure("a session starts with a commit") }
            from = (position, mark)
        }
        guard let from else { return }
        try flushTables()
        try commitLock.withLock { () throws(Failure) in
            try writeCheckpoint(replayFrom: from.position, replayMark: from.mark, facts: facts, isClean: isClean)
        }
        deleteObsolete()
    }

    var hasChanges: Bool { changes.withLock { sequence > durableSequence.load(ordering: .acquiring) } }

    private func flushTables() throws(Failure) {
        do throws(Failure) { _ = try tree.flushFrozen() } catch {
            guard error.kind == .noSpace, releaseReserve(for: .committing) else { throw error }
            _ = try tree.flushFrozen()
        }
    }

    /// Writes the manifest as a commit, then the head. The caller holds `commitLock`.
    private func writeCheckpoint(
        replayFrom: LogPosition, replayMark: CommitMark, facts: [UInt64: SegmentFacts], isClean: Bool
    ) throws(Failure) {
        let (states, next) = changes.withLock { (Array(segments.values), nextSegment) }
        let (kept, dropped) = Self.sort(states, facts, replayFrom: replayFrom.segment)
        // In this order: a table that becomes obsolete in between is still named by this manifest.
        retiredTables += tree.takeObsolete().map(\.id)
        let tables = tree.tables
        let manifest = Manifest(
            replayFrom: replayFrom, replayMark: replayMark, tables: tables, segments: kept, nextSegment: next, history: history)
        var bytes = ByteWriter(capacityBytes: 4096)
        manifest.encode(into: &bytes)
        let start = try writeCommit(.checkpoint, bytes.readable)
        try syncTail()
        try writeHead(checkpoint: start, isClean: isClean)
        history.append(mark)
        if history.count > Manifest.historyLimit { history.removeFirst(history.count - Manifest.historyLimit) }
        checkpointBytes = tail.sessionBytes
        changes.withLock {
            counters.checkpoints += 1
            for segment in dropped { segments[segment.number] = nil }
        }
        for segment in dropped { cache.remove(segment.number) }
        obsolete.append(dropped.map(\.blob) + retiredTables)
        retiredTables = []
    }

    /// What a manifest names: live bytes as of the facts' capture. A segment without live bytes then, from before the replayed log,
    /// and with no chunk that a batch may still come to name, is dropped.
    private static func sort(
        _ states: [SegmentState], _ facts: [UInt64: SegmentFacts], replayFrom: UInt64
    ) -> (kept: [SegmentFacts], dropped: [SegmentFacts]) {
        var kept: [SegmentFacts] = []
        var dropped: [SegmentFacts] = []
        for state in states {
            var now = state.facts
            now.liveBytes = facts[now.number]?.liveBytes ?? 0
            let isGarbage = now.liveBytes == 0 && state.facts.liveBytes == 0 && state.unclaimedBytes == 0 && facts[now.number] != nil
            if isGarbage, !state.isActive, now.number < replayFrom { dropped.append(now) } else { kept.append(now) }
        }
        return (kept.sorted { $0.number < $1.number }, dropped)
    }

    /// Writes the slot that is not the newest one, which stays whole: only a sync that fails ends all writing, since the kernel may have
    /// dropped what it could not write. Whatever else fails is tried again with the next checkpoint.
    private func writeHead(checkpoint: LogPosition, isClean: Bool) throws(Failure) {
        let file: any WritableBlob
        if let headFile { file = headFile } else { file = try storage.openSmallFile(HeadFile.name(writer: writer)) }
        headFile = file
        let new = Head(
            sequence: (head?.sequence ?? 0) + 1, checkpoint: checkpoint, mark: mark, headerRevision: options.headerRevision(),
            isClean: isClean)
        do throws(Failure) { try HeadFile.write(new, to: file, writer: writer, keys: keys, salt: .makeRandom()) } catch {
            guard error.kind == .noSpace, releaseReserve(for: .committing) else { throw error }
            try HeadFile.write(new, to: file, writer: writer, keys: keys, salt: .makeRandom())
        }
        do { try file.sync() } catch {
            tail.poison(error)
            throw error
        }
        head = new
    }

    /// Deletes what neither of the two newest checkpoints names: what the one before the newest dropped. A failure leaves garbage,
    /// which the next session clears away.
    private func deleteObsolete() {
        let gone: [BlobID] = commitLock.withLock {
            // The last list is of blobs that the checkpoint before the newest still names.
            guard obsolete.count > 1, deletionHolds == 0 else { return [] }
            let ready = obsolete.dropLast().flatMap { $0 }
            obsolete.removeFirst(obsolete.count - 1)
            return ready
        }
        for id in gone {
            do { try storage.deleteBlob(id) } catch  where error.kind == .missing {
                continue
            } catch { report("cannot delete a blob that is no longer needed: \(error)") }
        }
        if !gone.isEmpty { roomCameBack() }
    }

    /// Blobs that wait for one or two more checkpoints before they can go.
    var waitingObsolete: Int { commitLock.withLock { obsolete.reduce(0) { $0 + $1.count } } }
}
