import BlobStorage
import Records
import Syscalls
import Tables
import Testing

@testable import Log

/// Bounds: room on the storage, memory, and what is not yet on stable storage.
@Suite struct LogRoomTests {
    private func claim(_ log: VolumeLog, _ key: UInt64, _ chunk: ChunkLocation) throws(Failure) {
        let batch = RecordBatch()
        [1].withUnsafeBytes { batch.put(RecordKey(.extent, key), $0) }
        batch.liveBytes(segment: chunk.segment, delta: Int64(chunk.sizeBytes))
        _ = try log.apply(batch)
    }

    private func release(_ log: VolumeLog, _ key: UInt64, _ chunk: ChunkLocation) throws(Failure) {
        let batch = RecordBatch()
        batch.delete(RecordKey(.extent, key))
        batch.liveBytes(segment: chunk.segment, delta: -Int64(chunk.sizeBytes))
        _ = try log.apply(batch)
    }

    /// Writes until there is no more room; gives the chunks.
    private func fill(_ log: VolumeLog) throws -> [ChunkLocation] {
        var chunks: [ChunkLocation] = []
        while chunks.count < 1000 {
            do throws(Failure) {
                let chunk = try log.writeChunk([UInt8](repeating: 1, count: 30_000))
                do throws(Failure) { try claim(log, UInt64(chunks.count), chunk) } catch {
                    log.abandonChunk(chunk)
                    throw error
                }
                chunks.append(chunk)
                if chunks.count % 5 == 0 { try log.durable(log.currentToken()) }
            } catch {
                #expect(error.kind == .noSpace)
                break
            }
        }
        #expect(log.tail.failure == nil)
        return chunks
    }

    @Test func afterDeletingOnAFullStorageThereIsRoomAgain() throws {
        let storage = MemoryStorage(capacityBytes: 4 << 20)
        var options = testOptions(segmentSizeBytes: 256 << 10)
        options.reserveBytes = 256 << 10
        let log = try createLog(storage, options: options)
        for round in 0..<4 {
            let chunks = try fill(log)
            #expect(chunks.count > 80, "round \(round)")
            #expect(throws: Failure.self) { for _ in 0..<40 { _ = try log.writeChunk([UInt8](repeating: 1, count: 30_000)) } }
            for (index, chunk) in chunks.enumerated() { try release(log, UInt64(index), chunk) }
            try log.durable(log.currentToken())
            try log.maintain()
            let used = try storage.capacity().totalBytes - storage.capacity().availableBytes
            #expect(used < 2 << 20, "round \(round): one round of upkeep makes room")
        }
        try log.close()
        #expect(try openLog(storage, options: options).statistics.liveBytes == 0)
    }

    @Test func aFullStorageGathersNoEmptySegments() throws {
        let storage = MemoryStorage(capacityBytes: 2 << 20)
        let log = try createLog(storage, options: testOptions(segmentSizeBytes: 128 << 10))
        _ = try fill(log)
        var before = 0
        try storage.listBlobs { (_) throws(Failure) in before += 1 }
        for _ in 0..<20 { _ = try? log.writeChunk([UInt8](repeating: 1, count: 30_000)) }
        var after = 0
        try storage.listBlobs { (_) throws(Failure) in after += 1 }
        #expect(after <= before)
        #expect(log.segments.count <= after)
    }

    @Test func aReserveThatWasLeftBehindIsGivenBack() throws {
        let storage = MemoryStorage(capacityBytes: 16 << 20)
        var options = testOptions()
        options.reserveBytes = 1 << 20
        let log = try createLog(storage, options: options)
        try log.durable(try log.put(1, 0, [1]))
        // Killed. The next session has its own, or none.
        let again = try openLog(storage, options: options)
        try again.durable(try again.put(1, 0, [2]))
        try again.close()
        #expect(try storage.readSmallFile(Reserve.fileName, limitBytes: 1 << 20) == nil)
    }

    @Test func aFastWriterCommitsItself() throws {
        let storage = MemoryStorage()
        var options = testOptions(segmentSizeBytes: 1 << 20)
        options.maximumUnsyncedBytes = 1 << 20
        let log = try createLog(storage, options: options)
        var largest: UInt64 = 0
        for _ in 0..<100 {
            _ = try log.writeChunk([UInt8](repeating: 1, count: 100_000))
            largest = max(largest, log.tail.pendingBytes)
        }
        #expect(largest < 2 << 20)
        #expect(log.statistics.commits > 4)
    }

    @Test func theMemoryTableStaysBounded() throws {
        var options = testOptions()
        options.memoryTableBytes = 64 << 10
        let log = try createLog(MemoryStorage(), options: options)
        var largest = 0
        for key in 0..<5000 as Range<UInt64> {
            _ = try log.put(key, 0, [UInt8](repeating: 1, count: 400))
            largest = max(largest, log.tree.activeSizeBytes)
        }
        #expect(largest < 5 * options.memoryTableBytes)
        #expect(try log.all().count == 5000)
    }
}
