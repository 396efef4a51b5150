import BlobStorage
import Records
import Syscalls
import Testing

@testable import Log

/// Random histories against a dictionary: after every crash the log must hold exactly what was last made durable, after every
/// closing exactly everything.
@Suite struct LogModelTests {
    @Test(arguments: 1...12) func randomHistories(seed: UInt64) throws {
        let storage = MemoryStorage()
        var generator = SeededGenerator(seed: seed)
        var log = try createLog(storage, options: testOptions(segmentSizeBytes: 64 << 10))
        var present: [UInt64: [UInt8]] = [:]
        var durable = present
        var chunks: [(ChunkLocation, [UInt8])] = []
        for step in 0..<600 {
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<60:
                let key = UInt64.random(in: 0..<200, using: &generator)
                let value = randomBytes(Int.random(in: 0..<300, using: &generator), &generator)
                _ = try log.put(key, 0, value)
                present[key] = value
            case 60..<70:
                let key = UInt64.random(in: 0..<200, using: &generator)
                let batch = RecordBatch()
                batch.delete(RecordKey(.inode, key))
                _ = try log.apply(batch)
                present[key] = nil
            case 70..<80:
                let bytes = randomBytes(Int.random(in: 1..<9000, using: &generator), &generator)
                let chunk = try log.writeChunk(bytes)
                let batch = RecordBatch()
                batch.liveBytes(segment: chunk.segment, delta: Int64(bytes.count))
                _ = try log.apply(batch)
                chunks.append((chunk, bytes))
            case 80..<88:
                try log.durable(log.currentToken())
                durable = present
            case 88..<92:
                try log.checkpoint()
                durable = present
            case 92..<95:
                try log.close()
                durable = present
                log = try openLog(storage, options: testOptions(segmentSizeBytes: 64 << 10))
            default:
                log = try openLog(storage, options: testOptions(segmentSizeBytes: 64 << 10))
                present = durable
                // Chunks that no durable batch claims are garbage now.
                chunks.removeAll()
            }
            if step % 20 == 0 { #expect(try log.all() == present, "seed \(seed), step \(step)") }
            if let (chunk, bytes) = chunks.randomElement(using: &generator) {
                #expect(try log.readChunk(chunk) == bytes, "seed \(seed), step \(step)")
            }
        }
        #expect(try log.all() == present, "seed \(seed)")
    }
}
