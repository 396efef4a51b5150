import ChunkStore
import FileSystem
import MetadataStore
import Records
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// A file that is written while somebody looks through its extents: a store shows one record as it was before and the next one as it is then.
@Suite struct ChangingRecordsTests {
    /// Does something between the first and the second record of a scan, once it is told what.
    private final class InterruptedStore: MetadataStore {
        let base = MemoryMetadataStore()
        private let interruption = Mutex<(@Sendable () -> Void)?>(nil)

        func interrupt(_ body: @escaping @Sendable () -> Void) { interruption.withLock { $0 = body } }
        var isDone: Bool { interruption.withLock { $0 == nil } }

        func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) throws(Failure) {
            let interruption = lower.kind == RecordKind.extent.rawValue ? interruption.withLock { $0.take() } : nil
            guard let interruption else { return try base.scan(from: lower, to: upper, body) }
            var next: UInt64?
            var goesOn = false
            try base.scan(from: lower, to: upper) { record in
                goesOn = body(record) == .next
                next = record.key.second + 1
                return .stop
            }
            interruption()
            if goesOn, let next { try base.scan(from: RecordKey(.extent, lower.first, next), to: upper, body) }
        }

        func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool { try base.get(key, body) }
        func apply(_ batch: RecordBatch, _ preconditions: [Precondition]) throws(Failure) -> CommitToken {
            try base.apply(batch, preconditions)
        }
        func durable(_ token: CommitToken) throws(Failure) { try base.durable(token) }
        func currentToken() -> CommitToken { base.currentToken() }
    }

    private let store = InterruptedStore()
    private let chunks = MemoryChunkStore()
    private let log = FailureLog()
    private let fileSystem: FileSystem
    private let file: InodeID

    init() throws {
        try FileSystem.format(store, owner: TestVolume.caller, now: Timestamp(seconds: 1))
        let log = log
        fileSystem = try FileSystem(
            metadata: store, chunks: chunks,
            environment: FileSystemEnvironment(
                nameHash: TestVolume.hash, capacity: { () throws(Failure) in VolumeCapacity(totalBytes: 1 << 30, availableBytes: 1 << 29) },
                log: { log.add($0) }))
        let fileSystem = fileSystem
        file = try Array("f".utf8).withUnsafeBytes {
            try fileSystem.makeNode(.root, $0, mode: 0o644, caller: TestVolume.caller, retaining: false).inode
        }
        // Two extents, which one that is written over both replaces.
        for half in [0, 8192] { try Self.write(fileSystem, file, at: UInt64(half), [UInt8](repeating: 1, count: 8192)) }
        store.interrupt { [fileSystem, file] in
            do { try Self.write(fileSystem, file, at: 0, [UInt8](repeating: 2, count: 16_384)) } catch { Issue.record(error) }
        }
    }

    private static func write(_ fileSystem: FileSystem, _ file: InodeID, at offset: UInt64, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try fileSystem.write(file, at: offset, from: $0) }
    }

    @Test func aReaderSeesOneOrTheOther() throws {
        var found = [UInt8](repeating: 0, count: 16_384)
        #expect(try found.withUnsafeMutableBytes { try fileSystem.read(file, at: 0, into: $0) } == 16_384)
        #expect(found == [UInt8](repeating: 2, count: 16_384))
        #expect(store.isDone && log.all.isEmpty)
    }

    @Test func theCleanerTakesItForNoDamage() throws {
        let old = ChunkLocation(segment: 0, frameOffset: 0, frame: 0, sizeBytes: 16_384, blockSizeLog2: 12)
        _ = try fileSystem.liveBytes(of: old, inode: file, fileOffset: 0)
        #expect(store.isDone && log.all.isEmpty)
    }
}
