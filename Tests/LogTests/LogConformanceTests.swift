import BlobStorage
import Glibc
import Records
import Syscalls
import Tables
import Testing

@testable import Log

/// What the log promises, over every kind of storage that there is.
@Suite struct LogConformanceTests {
    enum Kind: String, CaseIterable, Sendable { case memory, directory, faulty, crash }

    /// Runs `body` with a fresh storage of that kind.
    private func with(_ kind: Kind, _ body: (any BlobStorage) throws -> Void) throws {
        switch kind {
        case .memory: try body(MemoryStorage())
        case .crash: try body(CrashStorage())
        case .faulty: try body(FaultyStorage(MemoryStorage()))
        case .directory:
            var template = Array("/tmp/efs-log-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Failure(.inputOutput, "no temporary directory") }
            let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            let storage = try DirectoryStorage(path: path, readOnly: false)
            defer { remove(storage, path) }
            try body(storage)
        }
    }

    private func remove(_ storage: DirectoryStorage, _ path: String) {
        for id in (try? blobs(storage)) ?? [] { try? storage.deleteBlob(id) }
        for file in [HeadFile.name(writer: 0), Reserve.fileName] { try? storage.deleteSmallFile(file) }
        #expect(rmdir(path) == 0, "\(path) holds something unexpected")
    }

    private static let options = testOptions(segmentSizeBytes: 64 << 10)

    private func blobs(_ storage: any BlobStorage) throws -> Set<BlobID> {
        var all: Set<BlobID> = []
        try storage.listBlobs { (id) throws(Failure) in all.insert(id) }
        return all
    }

    @Test(arguments: Kind.allCases) func durableIsThereAndTheRestIsNot(kind: Kind) throws {
        try with(kind) { storage in
            let log = try createLog(storage, options: Self.options)
            for key in 0..<50 as Range<UInt64> { _ = try log.put(key, 0, [UInt8](repeating: UInt8(key), count: Int(key) * 20)) }
            try log.durable(log.currentToken())
            let expected = try log.all()
            _ = try log.put(3, 0, [9, 9])
            _ = try log.put(99, 0, [9])
            #expect(expected.count == 50)
            #expect(try openLog(storage, options: Self.options).all() == expected)
        }
    }

    @Test(arguments: Kind.allCases) func manySessionsAddUp(kind: Kind) throws {
        try with(kind) { storage in
            var expected: [UInt64: [UInt8]] = [:]
            var chunks: [ChunkLocation] = []
            var log = try createLog(storage, options: Self.options)
            for session in 0..<8 as Range<UInt64> {
                for key in 0..<10 as Range<UInt64> {
                    let value = [UInt8](repeating: UInt8(session), count: 100)
                    _ = try log.put(session * 7 + key, 0, value)
                    expected[session * 7 + key] = value
                }
                let chunk = try log.writeChunk([UInt8](repeating: UInt8(session), count: 30_000))
                let batch = RecordBatch()
                batch.liveBytes(segment: chunk.segment, delta: 30_000)
                _ = try log.apply(batch)
                chunks.append(chunk)
                if session % 3 == 0 { try log.close() } else { try log.durable(log.currentToken()) }
                log = try openLog(storage, options: Self.options)
                #expect(try log.all() == expected)
                for (index, chunk) in chunks.enumerated() {
                    #expect(try log.readChunk(chunk) == [UInt8](repeating: UInt8(index), count: 30_000))
                }
                #expect(log.statistics.liveBytes == Int64(chunks.count) * 30_000)
            }
        }
    }

    @Test(arguments: Kind.allCases) func readingOnlyChangesNothing(kind: Kind) throws {
        try with(kind) { storage in
            let log = try createLog(storage, options: Self.options)
            try log.durable(try log.put(1, 0, [1]))
            var options = Self.options
            options.isReadOnly = true
            let before = try blobs(storage)
            let head = try storage.readSmallFile(HeadFile.name(writer: 0), limitBytes: 1 << 16)
            let operations = (storage as? CrashStorage)?.operationCount
            let reader = try openLog(storage, options: options)
            #expect(try reader.value(1) == [1])
            #expect(throws: Failure.self) { try reader.put(2, 0, [2]) }
            #expect(throws: Failure.self) { try reader.writeChunk([1]) }
            try reader.maintain()
            try reader.checkpoint()
            try reader.close()
            #expect(try blobs(storage) == before)
            #expect(try storage.readSmallFile(HeadFile.name(writer: 0), limitBytes: 1 << 16) == head)
            #expect((storage as? CrashStorage)?.operationCount == operations)
        }
    }

    @Test(arguments: Kind.allCases) func nothingIsLeftOver(kind: Kind) throws {
        try with(kind) { storage in
            var log = try createLog(storage, options: Self.options)
            for round in 0..<6 as Range<UInt64> {
                var chunks: [ChunkLocation] = []
                for index in 0..<10 as Range<UInt64> {
                    let chunk = try log.writeChunk([UInt8](repeating: 1, count: 20_000))
                    let batch = RecordBatch()
                    batch.liveBytes(segment: chunk.segment, delta: 20_000)
                    [1].withUnsafeBytes { batch.put(RecordKey(.inode, round * 100 + index), $0) }
                    _ = try log.apply(batch)
                    chunks.append(chunk)
                }
                try log.durable(log.currentToken())
                for chunk in chunks {
                    let batch = RecordBatch()
                    batch.liveBytes(segment: chunk.segment, delta: -20_000)
                    _ = try log.apply(batch)
                }
                try log.durable(log.currentToken())
                if round % 2 == 0 { try log.close() }
                log = try openLog(storage, options: Self.options)
            }
            for _ in 0..<3 {
                _ = try log.put(1, 0, [2])
                try log.checkpoint()
                try log.maintain()
            }
            let named = Set(log.segments.values.map(\.facts.blob)).union(log.tree.tables.map(\.id)).union(log.obsolete.flatMap { $0 })
            #expect(try blobs(storage) == named)
            #expect(log.segments.count <= 2)
            // Key 1 is one of the first round's.
            #expect(try log.all().count == 60)
        }
    }

    @Test(arguments: Kind.allCases) func threadsShareTheLog(kind: Kind) throws {
        try with(kind) { storage in
            var options = Self.options
            options.hasHousekeeper = true
            options.commitIntervalSeconds = 0.01
            options.memoryTableBytes = 64 << 10
            let log = try createLog(storage, options: options)
            let failures = Monitor()
            nonisolated(unsafe) var count = 0
            let threads = (0..<4 as Range<UInt64>).map { thread in
                WorkerThread(name: "writer") {
                    do throws(Failure) {
                        for index in 0..<60 as Range<UInt64> {
                            let chunk = try log.writeChunk([UInt8](repeating: UInt8(thread), count: 5000))
                            let batch = RecordBatch()
                            batch.liveBytes(segment: chunk.segment, delta: 5000)
                            [UInt8](repeating: 1, count: 800).withUnsafeBytes { batch.put(RecordKey(.inode, thread * 1000 + index), $0) }
                            let token = try log.apply(batch)
                            if index % 7 == 0 { try log.durable(token) }
                            if try log.readChunk(chunk) != [UInt8](repeating: UInt8(thread), count: 5000) {
                                failures.withLock { count += 1 }
                            }
                        }
                    } catch { failures.withLock { count += 1 } }
                }
            }
            for thread in threads { thread.join() }
            try log.close()
            #expect(count == 0)
            let again = try openLog(storage, options: Self.options)
            #expect(try again.all().count == 240)
            #expect(again.statistics.liveBytes == 240 * 5000)
        }
    }
}
