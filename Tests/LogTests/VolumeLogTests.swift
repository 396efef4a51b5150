import BlobStorage
import Records
import Syscalls
import Testing

@testable import Log

@Suite struct VolumeLogTests {
    @Test func whatIsDurableIsThereAfterACrash() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        let token = try log.put(1, 0, [1, 2, 3])
        try log.durable(token)
        _ = try log.put(2, 0, [4])
        let again = try openLog(storage)
        #expect(try again.value(1) == [1, 2, 3])
        #expect(try again.value(2) == nil)
    }

    @Test func whatWasClosedIsThere() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        _ = try log.put(1, 0, [1])
        try log.close()
        let again = try openLog(storage)
        #expect(try again.value(1) == [1])
        try again.close()
        let third = try openLog(storage)
        #expect(try third.value(1) == [1])
    }

    @Test(arguments: [1, 15, 4095, 4096, 4097, 8192, 100_000, 1 << 20])
    func chunksReadBackFromEveryEdge(size: Int) throws {
        var generator = SeededGenerator(seed: UInt64(size))
        let log = try createLog(MemoryStorage(), options: testOptions(segmentSizeBytes: 4 << 20))
        let bytes = randomBytes(size, &generator)
        let chunk = try log.writeChunk(bytes)
        #expect(try log.readChunk(chunk) == bytes)
        let edges = Set([0, 1, 4095, 4096, 4097, size / 2, size - 1, size]).filter { $0 >= 0 && $0 <= size }
        for from in edges {
            for to in edges where to > from {
                #expect(try log.readChunk(chunk, from: from, count: to - from) == Array(bytes[from..<to]))
            }
        }
    }

    @Test func aFlippedByteOfAChunkIsNoticed() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        let chunk = try log.writeChunk([UInt8](repeating: 7, count: 5000))
        let id = try #require(log.segments[chunk.segment]?.facts.blob)
        let blob = try #require(try storage.openBlob(id) as? any WritableBlob)
        for at in [40, 4000, 4136, 4151, 4152, 5000, 40 + 5000 + 31] {
            var byte: [UInt8] = [0]
            let place = UInt64(chunk.frameOffset) + UInt64(at)
            _ = try byte.withUnsafeMutableBytes { try blob.read(at: place, into: $0) }
            let flipped = [byte[0] ^ 1]
            try flipped.withUnsafeBytes { try blob.write($0, at: place) }
            #expect(throws: Failure.self) { try log.readChunk(chunk) }
            try byte.withUnsafeBytes { try blob.write($0, at: place) }
            #expect(try log.readChunk(chunk).count == 5000)
        }
    }

    @Test func aCommitLargerThanAFrameComesBackWhole() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        var generator = SeededGenerator(seed: 3)
        var expected: [UInt64: [UInt8]] = [:]
        for size in [(1 << 20) - 400, (1 << 20) - 200, 1 << 20, 3 << 20] {
            let batch = RecordBatch()
            var total = 0
            while total < size {
                let key = UInt64.random(in: 0...1_000_000, using: &generator)
                let value = randomBytes(min(4000, size - total), &generator)
                value.withUnsafeBytes { batch.put(RecordKey(.inode, key), $0) }
                expected[key] = value
                total += value.count
            }
            try log.durable(try log.apply(batch))
        }
        #expect(try openLog(storage).all() == expected)
    }

    @Test func emptySegmentsGoAfterTwoCheckpoints() throws {
        let storage = MemoryStorage()
        let log = try createLog(storage)
        var chunks: [ChunkLocation] = []
        for _ in 0..<8 {
            let chunk = try log.writeChunk([UInt8](repeating: 1, count: 100_000))
            let batch = RecordBatch()
            batch.liveBytes(segment: chunk.segment, delta: 100_000)
            [1].withUnsafeBytes { batch.put(RecordKey(.extent, 1, UInt64(chunks.count)), $0) }
            _ = try log.apply(batch)
            chunks.append(chunk)
        }
        try log.checkpoint()
        let before = log.statistics.segments
        for (index, chunk) in chunks.enumerated() {
            let batch = RecordBatch()
            batch.liveBytes(segment: chunk.segment, delta: -100_000)
            batch.delete(RecordKey(.extent, 1, UInt64(index)))
            _ = try log.apply(batch)
        }
        try log.checkpoint()
        _ = try log.put(1, 0, [1])
        try log.checkpoint()
        _ = try log.put(1, 0, [2])
        try log.checkpoint()
        #expect(before >= 4)
        #expect(log.statistics.segments <= 2)
        #expect(log.statistics.liveBytes == 0)
        var count = 0
        try storage.listBlobs { (_) throws(Failure) in count += 1 }
        #expect(count <= 8)
        #expect(try openLog(storage).value(1) == [2])
    }
}

/// What is done while nothing else is to do.
@Suite struct LogIdleTests {
    @Test(arguments: [0.0, .infinity]) func deletionsAreMergedAwayOnceThereIsTime(idleSeconds: Double) throws {
        var options = testOptions()
        options.idleSeconds = idleSeconds
        let log = try createLog(MemoryStorage(), options: options)
        for key in 0..<100 as Range<UInt64> { _ = try log.put(key, 0, [1]) }
        try log.checkpoint()
        let batch = RecordBatch()
        for key in 0..<40 as Range<UInt64> { batch.delete(RecordKey(.inode, key)) }
        _ = try log.apply(batch)
        // While there are changes to be written there is no time.
        try log.maintain()
        try log.checkpoint()
        #expect(log.statistics.records == 140)
        try log.maintain()
        #expect(log.statistics.records == (idleSeconds == 0 ? 60 : 140))
        #expect(try log.all().count == 60)
    }
}
