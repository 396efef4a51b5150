import BlobStorage
import Records
import Syscalls
import Testing

@testable import Log

/// Every call of the storage made to fail in turn: what was acknowledged before is there after reopening, nothing is acknowledged that is
/// not, and nothing traps.
@Suite struct LogFaultTests {
    /// Writes, commits and checkpoints; gives what was acknowledged as durable.
    private func work(_ log: VolumeLog) -> (acknowledged: [UInt64: [UInt8]], applied: [UInt64: [UInt8]], error: Failure?) {
        var present: [UInt64: [UInt8]] = [:]
        var durable = present
        do throws(Failure) {
            for key in 0..<12 as Range<UInt64> {
                let value = [UInt8](repeating: UInt8(key), count: 3000)
                let chunk = try log.writeChunk([UInt8](repeating: 9, count: 20_000))
                let batch = RecordBatch()
                value.withUnsafeBytes { batch.put(RecordKey(.inode, key), $0) }
                batch.liveBytes(segment: chunk.segment, delta: 20_000)
                let token = try log.apply(batch)
                present[key] = value
                if key % 2 == 1 {
                    try log.durable(token)
                    durable = present
                }
                if key % 4 == 3 { try log.checkpoint() }
            }
            try log.close()
            return (present, present, nil)
        } catch { return (durable, present, error) }
    }

    @Test(arguments: [FaultyStorage.Fault.ioError.kind, .noSpace])
    func everyFailureLeavesWhatWasAcknowledged(kind: FailureKind) throws {
        let failure = kind == .noSpace ? FaultyStorage.Fault.noSpace : FaultyStorage.Fault.ioError
        var after = 0
        var failures = 0
        while true {
            let storage = MemoryStorage()
            let faulty = FaultyStorage(storage)
            let options = testOptions(segmentSizeBytes: 64 << 10)
            let log = try createLog(faulty, options: options)
            let calls: Set<FaultyStorage.Call> =
                kind == .noSpace ? [.create, .allocate, .smallFile] : [.create, .delete, .write, .sync, .syncNames, .allocate, .smallFile]
            faulty.set(FaultyStorage.Fault(calls, after: after, count: 1, failure))
            let result = work(log)
            faulty.set(nil)
            if result.error != nil { failures += 1 }
            let again = try openLog(storage, options: options)
            let found = try again.all()
            for (key, value) in result.acknowledged { #expect(found[key] == value, "call \(after), key \(key)") }
            for (key, value) in found { #expect(result.applied[key] == value, "call \(after), key \(key)") }
            // A volume that was opened again after a failure goes on working.
            try again.durable(try again.put(1000, 0, [1]))
            #expect(try openLog(storage, options: options).value(1000) == [1])
            if faulty.failureCount == 0 { break }
            after += 1
        }
        #expect(failures > 5, "the test made nothing fail")
    }

    @Test func aFailedSyncIsNeverTakenForASuccessLater() throws {
        let storage = MemoryStorage()
        let faulty = FaultyStorage(storage)
        let log = try createLog(faulty)
        let token = try log.put(1, 0, [1])
        faulty.set(FaultyStorage.Fault([.sync], count: 1, FaultyStorage.Fault.ioError))
        #expect(throws: Failure.self) { try log.durable(token) }
        #expect(throws: Failure.self) { try log.durable(token) }
        #expect(throws: Failure.self) { try log.put(2, 0, [2]) }
        #expect(try log.value(1) == [1])
    }

    @Test func aFullDiskIsOverWhenThereIsRoom() throws {
        let storage = MemoryStorage()
        let faulty = FaultyStorage(storage)
        let options = testOptions(segmentSizeBytes: 64 << 10)
        let log = try createLog(faulty, options: options)
        _ = try log.put(1, 0, [1])
        faulty.set(FaultyStorage.Fault([.allocate, .create], FaultyStorage.Fault.noSpace))
        var written = 0
        #expect(throws: Failure.self) {
            while written < 10_000 {
                _ = try log.writeChunk([UInt8](repeating: 1, count: 10_000))
                written += 1
            }
        }
        #expect(log.tail.failure == nil)
        faulty.set(nil)
        _ = try log.writeChunk([UInt8](repeating: 1, count: 10_000))
        try log.durable(try log.put(2, 0, [2]))
        #expect(try openLog(storage, options: options).all() == [1: [1], 2: [2]])
    }
}
