import BlobStorage
import Records
import Sealing
import Syscalls
import Testing

@testable import Log

/// Damage to what was acknowledged is told from the torn end of a log, and never passed over in silence.
@Suite struct LogDamageTests {
    private func flip(_ storage: MemoryStorage, _ position: LogPosition, at offset: UInt64) throws {
        let blob = try #require(try storage.openBlob(position.blob) as? any WritableBlob)
        var byte: [UInt8] = [0]
        _ = try byte.withUnsafeMutableBytes { try blob.read(at: position.offset + offset, into: $0) }
        try [byte[0] ^ 1].withUnsafeBytes { try blob.write($0, at: position.offset + offset) }
    }

    @Test func aDamagedCommitBeforeAcknowledgedOnesIsRefused() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        var ends: [LogPosition] = []
        for key in 0..<5 as Range<UInt64> {
            ends.append(try #require(log.tail.commitEnd))
            try log.durable(try log.put(key, 0, [1]))
        }
        // Behind the header of the second commit's only frame.
        try flip(storage, ends[1], at: 60)
        #expect(throws: Failure.self) { try openLog(storage) }
        var options = testOptions()
        options.acceptsRollback = true
        let again = try openLog(storage, options: options)
        #expect(try again.all() == [0: [1]])
        try again.durable(try again.put(7, 0, [7]))
        #expect(try openLog(storage).all() == [0: [1], 7: [7]])
    }

    @Test func theLastCommitMayBeTorn() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        try log.durable(try log.put(0, 0, [1]))
        let end = try #require(log.tail.commitEnd)
        try log.durable(try log.put(1, 0, [1]))
        try flip(storage, end, at: 60)
        #expect(try openLog(storage).all() == [0: [1]])
    }

    @Test func anUnreadableCheckpointIsNotSteppedBackFromUnasked() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        try log.durable(try log.put(0, 0, [1]))
        try log.checkpoint()
        try log.durable(try log.put(1, 0, [1]))
        try log.checkpoint()
        let checkpoint = try #require(log.head?.checkpoint)
        try flip(storage, checkpoint, at: 60)
        #expect(throws: Failure.self) { try openLog(storage) }
        var options = testOptions()
        options.acceptsRollback = true
        let again = try openLog(storage, options: options)
        // The commits before the damaged one are still in the log.
        #expect(try again.all() == [0: [1], 1: [1]])
        try again.durable(try again.put(2, 0, [1]))
        #expect(try openLog(storage).all().count == 3)
    }

    /// A checkpoint of a later version is authentic: no damage, and nothing to step back from.
    @Test(arguments: [0, 12, 20]) func anUnknownFeatureOfTheManifestIsNoDamage(word: Int) throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        try log.durable(try log.put(0, 0, [1]))
        try log.checkpoint()
        let head = try #require(log.head)
        let manifest = Manifest(
            replayFrom: head.checkpoint, replayMark: head.mark, tables: [], segments: [], nextSegment: log.nextSegment, history: [])
        var bytes = ByteWriter(capacityBytes: 256)
        manifest.encode(into: &bytes)
        var later = Array(bytes.readable)
        later[word] += 1
        try log.commitLock.withLock { () throws(Failure) in
            let place = try later.withBytes { (bytes) throws(Failure) in try log.writeCommit(.checkpoint, bytes) }
            try log.syncTail()
            let next = Head(sequence: head.sequence + 1, checkpoint: place, mark: log.mark, headerRevision: 0, isClean: false)
            let file = try storage.openSmallFile(HeadFile.name(writer: 0))
            try HeadFile.write(next, to: file, writer: 0, keys: testKeys, salt: .makeRandom())
        }
        for acceptsRollback in [false, true] {
            var options = testOptions()
            options.acceptsRollback = acceptsRollback
            let failure = #expect(throws: Failure.self) { try openLog(storage, options: options) }
            #expect(failure?.kind == .newerFormat)
        }
    }

    /// A process that is killed leaves commits that the kernel still holds back. Who opens the volume and goes on must not build on them
    /// before they are on stable storage.
    @Test func whatAKilledWriterLeftIsSyncedBeforeItIsBuiltOn() throws {
        let storage = CrashStorage()
        let log = try createLog(storage)
        let chunk = try log.writeChunk([UInt8](repeating: 5, count: 9000))
        let batch = RecordBatch()
        batch.liveBytes(segment: chunk.segment, delta: 9000)
        [1].withUnsafeBytes { batch.put(RecordKey(.inode, 1), $0) }
        _ = try log.apply(batch)
        // Written, not synced: as killed in the middle of a commit.
        try log.commitLock.withLock { () throws(Failure) in
            log.capture(freezing: false)
            _ = try log.writeCommit(.changes, log.body.readable)
        }
        let next = try openLog(storage)
        try next.durable(try next.put(2, 0, [2]))
        try storage.forEachPowerCut(from: storage.operationCount, seeds: 0..<8) { _, seed, left in
            let found = try openLog(CrashStorage(left))
            #expect(try found.value(2) == [2], "cut \(seed)")
            #expect(try found.readChunk(chunk) == [UInt8](repeating: 5, count: 9000), "cut \(seed)")
        }
    }
}
