import BlobStorage
import Records
import Sealing
import Syscalls
import Tables
import Testing

@testable import Log

/// Volumes of strangers: everything is sealed with the right key, and the numbers are whatever they liked.
@Suite struct LogHostileTests {
    private static let blob = BlobID(high: 1, low: 2)

    private func manifest(_ change: (inout Manifest) -> Void) -> Manifest? {
        var manifest = Manifest(
            replayFrom: LogPosition(segment: 1, blob: Self.blob, offset: 0, frame: 0), replayMark: .none, tables: [],
            segments: [SegmentFacts(number: 1, blob: Self.blob, sizeBytes: 1000, liveBytes: 500)], nextSegment: 2, history: [])
        change(&manifest)
        var bytes = ByteWriter(capacityBytes: 256)
        manifest.encode(into: &bytes)
        return Manifest(decoding: bytes.readable)
    }

    private func table(size: UInt64 = 1000, records: UInt64 = 10, sequence: UInt64 = 1) -> TableInfo {
        let key = OwnedRecordKey(RecordKey(.inode, 1))
        return TableInfo(
            id: Self.blob, sizeBytes: size, recordCount: records, deletionCount: 0, level: 0, sequence: sequence, smallest: key,
            largest: key)
    }

    @Test func numbersOutOfBoundsAreNoManifest() {
        #expect(manifest { _ in } != nil)
        #expect(manifest { $0.tables = [table()] } != nil)
        #expect(manifest { $0.replayMark.generation = .max } == nil)
        #expect(manifest { $0.replayFrom.segment = .max } == nil)
        #expect(manifest { $0.replayFrom.offset = .max } == nil)
        #expect(manifest { $0.replayFrom.frame = .max } == nil)
        #expect(manifest { $0.nextSegment = .max } == nil)
        #expect(manifest { $0.segments[0].number = .max } == nil)
        #expect(manifest { $0.segments[0].sizeBytes = 1 << 63 } == nil)
        #expect(manifest { $0.segments[0].liveBytes = .min } == nil)
        #expect(manifest { $0.segments[0].liveBytes = .max } == nil)
        #expect(manifest { $0.tables = [table(size: 1 << 63)] } == nil)
        #expect(manifest { $0.tables = [table(records: .max)] } == nil)
        #expect(manifest { $0.tables = [table(sequence: .max)] } == nil)
    }

    @Test func aHeadOrClosingFrameOutOfBoundsIsNone() {
        let keys = testKeys
        let place = LogPosition(segment: 1, blob: Self.blob, offset: 0, frame: 0)
        for (sequence, generation) in [(UInt64.max, UInt64(1)), (1, .max)] {
            let head = Head(
                sequence: sequence, checkpoint: place, mark: CommitMark(generation: generation, digest: .zero), headerRevision: 1,
                isClean: true)
            let sealed = HeadFile.seal(head, slot: 0, writer: 0, keys: keys, salt: Self.blob)
            #expect(HeadFile.open(sealed, slot: 0, writer: 0, keys: keys) == nil)
        }
        var bytes = ByteWriter(capacityBytes: 64)
        SegmentClosing(nextNumber: .max, nextBlob: Self.blob).encode(into: &bytes)
        #expect(SegmentClosing(decoding: bytes.readable) == nil)
    }

    /// Seals a commit that this version would not write.
    private func commit(_ log: VolumeLog, _ body: (inout ByteWriter) -> Void) throws {
        var bytes = ByteWriter(capacityBytes: 256)
        body(&bytes)
        try log.commitLock.withLock { () throws(Failure) in
            _ = try log.writeCommit(.changes, bytes.readable)
            try log.syncTail()
        }
    }

    @Test func aValueThatIsTooLongDoesNotCount() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage, options: testOptions(segmentSizeBytes: 8 << 20))
        try log.durable(try log.put(1, 0, [1]))
        try commit(log) { bytes in
            [UInt8](repeating: 0, count: TableLimit.valueSizeBytes + 1).withUnsafeBytes { bytes.appendPut(RecordKey(.inode, 2), $0) }
        }
        #expect(try openLog(storage).all() == [1: [1]])
    }

    @Test func liveBytesBeyondAllBoundsAreDamage() throws {
        for delta in [Int64.max, .min, SegmentFacts.liveLimitBytes - 1] {
            let storage = MemoryStorage()
            let log = try createLog(storage)
            try log.durable(try log.put(1, 0, [1]))
            for _ in 0..<2 {
                try commit(log) { bytes in
                    bytes.append(RecordBatch.Operation.liveBytes.rawValue)
                    bytes.append(UInt64(1))
                    bytes.append(UInt64(bitPattern: delta))
                }
            }
            let failure = #expect(throws: Failure.self) { try openLog(storage) }
            #expect(failure?.kind == .damaged)
        }
    }

    /// Whose session a commit is of does not change in the middle of a log.
    @Test func aCommitOfAnotherSessionDoesNotCount() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        try log.durable(try log.put(1, 0, [1]))
        let mark = log.mark
        let header = FrameHeader(
            kind: .commit, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: CommitHead.sizeBytes, first: mark.generation + 1)
        let place = try log.tail.reserveCommit([header])
        let head = CommitHead(
            generation: mark.generation + 1, content: .changes, partCount: 0, parent: mark.digest, framesDigest: place.framesDigest,
            session: BlobID(high: 7, low: 7), headerDigest: .zero, durableGeneration: 0)
        var bytes = ByteWriter(capacityBytes: 256)
        head.encode(into: &bytes)
        try log.tail.seal(header, bytes.readable, at: place.reservations[0])
        var options = testOptions()
        options.isReadOnly = true
        #expect(try openLog(storage, options: options).mark == mark)
    }
}
