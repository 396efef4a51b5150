import BlobStorage
import Records
import Syscalls
import Testing

@testable import Log

/// Failures in the places where one could go unnoticed, or bring everything to a stop.
@Suite struct LogFailedWriteTests {
    /// A session that could not begin has no head: what is committed afterwards must be reachable all the same, or refused.
    @Test func aSessionThatCouldNotBeginIsBegunAgain() throws {
        var refused = 0
        for failure in [FaultyStorage.Fault.ioError, FaultyStorage.Fault.noSpace] {
            for after in 0..<14 {
                let storage = MemoryStorage()
                try createLog(storage).close()
                let faulty = FaultyStorage(storage)
                let log = try openLog(faulty)
                let calls: Set<FaultyStorage.Call> = [.create, .allocate, .write, .sync, .syncNames, .smallFile, .delete]
                faulty.set(FaultyStorage.Fault(calls, after: after, count: 1, failure))
                var acknowledged: [UInt64: [UInt8]] = [:]
                for key in 1...3 as ClosedRange<UInt64> {
                    do throws(Failure) {
                        try log.durable(try log.put(key, 0, [UInt8(key)]))
                        for older in 1...key { acknowledged[older] = [UInt8(older)] }
                    } catch { refused += 1 }
                }
                let found = try openLog(storage).all()
                for (key, value) in acknowledged { #expect(found[key] == value, "call \(after), key \(key)") }
            }
        }
        #expect(refused > 10)
    }

    @Test func aCommitOfManyFramesThatFailsStopsNobody() throws {
        for after in 0..<4 {
            let faulty = FaultyStorage(MemoryStorage())
            let log = try createLog(faulty, options: testOptions(segmentSizeBytes: 8 << 20))
            let batch = RecordBatch()
            for key in 0..<1000 as Range<UInt64> {
                [UInt8](repeating: 1, count: 4000).withUnsafeBytes { batch.put(RecordKey(.inode, key), $0) }
            }
            let token = try log.apply(batch)
            faulty.set(FaultyStorage.Fault([.write], after: after, count: 1, FaultyStorage.Fault.ioError))
            #expect(throws: Failure.self) { try log.durable(token) }
            #expect(throws: Failure.self) { try log.checkpoint() }
            #expect(throws: Failure.self) { try log.writeChunk([1]) }
            // Something that was applied is lost: closing must not claim otherwise.
            #expect(throws: Failure.self) { try log.close() }
        }
    }

    /// The frame that could not be written was sealed: its place is used up, and a second try would seal another under the same nonce.
    @Test func aSegmentThatCouldNotBeClosedIsNotClosedAgain() throws {
        let storage = MemoryStorage()
        let faulty = FaultyStorage(storage)
        let options = testOptions(segmentSizeBytes: 64 << 10)
        let log = try createLog(faulty, options: options)
        try log.durable(try log.put(1, 0, [1]))
        for _ in 0..<3 { _ = try log.writeChunk([UInt8](repeating: 1, count: 20_000)) }
        // The next segment's opening frame, then the closing frame.
        faulty.set(FaultyStorage.Fault([.write], after: 1, count: 1, FaultyStorage.Fault.noSpace))
        #expect(throws: Failure.self) { try log.writeChunk([UInt8](repeating: 1, count: 20_000)) }
        #expect(log.tail.failure != nil)
        #expect(throws: Failure.self) { try log.put(2, 0, [2]) }
        #expect(try openLog(storage, options: options).all() == [1: [1]])
    }

    /// fdatasync(2) tells of a lost write once: whoever is told has to tell everybody.
    @Test func aSyncThatFailsWhileZerosAreWrittenEndsAllWriting() throws {
        let faulty = FaultyStorage(MemoryStorage())
        let log = try createLog(faulty, options: testOptions(segmentSizeBytes: 8 << 20))
        let token = try log.put(1, 0, [1])
        faulty.set(FaultyStorage.Fault([.sync], count: 1, FaultyStorage.Fault.ioError))
        #expect(throws: Failure.self) { try log.tail.zeroFillAhead(1 << 20) }
        #expect(throws: Failure.self) { try log.durable(token) }
    }

    @Test func noRoomForZerosIsNoFailure() throws {
        let storage = MemoryStorage()
        let faulty = FaultyStorage(storage)
        let log = try createLog(faulty, options: testOptions(segmentSizeBytes: 8 << 20))
        faulty.set(FaultyStorage.Fault([.write], count: 1, FaultyStorage.Fault.noSpace))
        try log.tail.zeroFillAhead(1 << 20)
        try log.durable(try log.put(1, 0, [1]))
        #expect(try openLog(storage).value(1) == [1])
    }

    @Test func aLogThatIsDroppedEndsItsThreads() throws {
        var options = testOptions()
        options.hasHousekeeper = true
        options.commitIntervalSeconds = 0.01
        let storage = CrashStorage()
        weak var dropped: VolumeLog?
        do {
            let log = try createLog(storage, options: options)
            _ = try log.put(1, 0, [1])
            log.abandon()
            dropped = log
        }
        #expect(dropped == nil)
        let operations = storage.operationCount
        let second = try openLog(storage, options: options)
        try second.close()
        #expect(storage.operationCount >= operations)
    }
}
