import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls
import Tables

extension VolumeLog {
    /// Writes what was applied since the last commit as one more, and puts it on stable storage. The caller holds `commitLock`. With
    /// `always`, frames of data that no change names yet get a commit too.
    func commit(always: Bool = false) throws(Failure) {
        if let failure = tail.failure { throw readOnly(failure) }
        // Before anything is captured: a session's first checkpoint counts live bytes as of the last commit.
        if hasChanges { try startSession() }
        capture(freezing: false)
        try writeBody(always: always)
    }

    /// For a writer that is faster than the background: at most so much is ever unsynced.
    func limitUnsynced() throws(Failure) {
        try commitLock.withLock { () throws(Failure) in
            if tail.pendingBytes > options.maximumUnsyncedBytes { try commit(always: true) }
        }
    }

    /// Takes the changes since the last capture into `body`. The caller holds `commitLock`. With `freezing`, the memory table
    /// becomes a frozen one at this very point, and the facts of all segments as of this point are returned.
    @discardableResult
    func capture(freezing: Bool) -> [UInt64: SegmentFacts] {
        changes.withLock {
            let before = body.count
            tree.capture(into: &body)
            for (segment, delta) in pendingLive where delta != 0 {
                body.append(RecordBatch.Operation.liveBytes.rawValue)
                body.append(segment)
                body.append(UInt64(bitPattern: delta))
            }
            pendingLive.removeAll(keepingCapacity: true)
            bodySequence = sequence
            if body.count > before { bodyHasContent = true }
            guard freezing else { return [:] }
            tree.freeze()
            return segments.facts
        }
    }

    /// Writes the captured changes. If there is no room they stay captured and go out with the next commit.
    func writeBody(always: Bool = false) throws(Failure) {
        if bodyHasContent || always {
            precondition(hasSession.load(ordering: .relaxed), "no commit counts before the session's first checkpoint")
            _ = try writeCommit(.changes, body.readable)
            // A large commit's memory is not kept.
            if body.capacityBytes > 4 << 20 { body = ByteWriter(capacityBytes: 64 << 10) } else { body.reset() }
            bodyHasContent = false
            try syncTail()
        }
        durableSequence.store(bodySequence, ordering: .releasing)
    }

    func syncTail() throws(Failure) {
        try tail.sync()
        changes.withLock {
            // Before a head leads to this session, a crash goes back to what was there before.
            if hasSession.load(ordering: .relaxed) { durableMark = mark }
            lastCommitSeconds = Clock.seconds()
            counters.commits += 1
        }
    }

    /// Seals and writes the frames of one commit; not yet durable. Gives the place of its first frame.
    func writeCommit(_ content: CommitHead.Content, _ body: UnsafeRawBufferPointer) throws(Failure) -> LogPosition {
        let limit = FrameHeader.maximumPayloadSizeBytes
        // The final frame holds the head and the last piece; full pieces go before it.
        let partCount = (body.count + CommitHead.sizeBytes - 1) / limit
        let generation = mark.generation + 1
        var headers: [FrameHeader] = []
        for _ in 0..<partCount {
            headers.append(commitHeader(.commitPart, limit, generation))
        }
        let rest = body.count - min(partCount * limit, body.count)
        // What the parts hold is the front of the body; if the head alone is left over, the last part is cut short.
        headers.append(commitHeader(.commit, CommitHead.sizeBytes + rest, generation))
        if partCount * limit > body.count {
            headers[partCount - 1] = commitHeader(.commitPart, body.count - (partCount - 1) * limit, generation)
        }
        let place = try tail.reserveCommit(headers)
        let head = CommitHead(
            generation: generation, content: content, partCount: UInt32(partCount), parent: mark.digest, framesDigest: place.framesDigest,
            session: session, headerDigest: headerDigest, durableGeneration: durableMark.generation)
        var at = 0
        for index in 0..<partCount {
            let count = headers[index].payloadSizeBytes
            try tail.seal(headers[index], UnsafeRawBufferPointer(rebasing: body[at..<at + count]), at: place.reservations[index])
            at += count
        }
        var final = ByteWriter(capacityBytes: CommitHead.sizeBytes + rest)
        head.encode(into: &final)
        final.append(UnsafeRawBufferPointer(rebasing: body[at...]))
        try tail.seal(headers[partCount], final.readable, at: place.reservations[partCount])
        mark = CommitMark(generation: generation, digest: head.digest(body: body))
        return place.start
    }

    private func commitHeader(_ kind: FrameKind, _ size: Int, _ generation: UInt64) -> FrameHeader {
        FrameHeader(
            kind: kind,
            blockSizeLog2: size > 1 << Int(FrameHeader.dataBlockSizeLog2) ? FrameHeader.commitBlockSizeLog2 : FrameHeader.dataBlockSizeLog2,
            payloadSizeBytes: size, first: generation)
    }
}
