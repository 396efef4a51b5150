import ChunkStore
import FileSystem
import MetadataStore
import Syscalls
import SystemPackage
import Testing

/// Random operations, each compared with the model; and now and then everything: each file, each entry, all records.
@Suite struct ModelTests {
    @Test(arguments: seeds(8, "randomOperations"))
    func randomOperations(seed: UInt64) throws {
        var run = try ModelRun(seed: seed)
        for step in 0..<12_000 {
            let operation = run.generator.next(run.model)
            let expected = run.model.run(operation)
            let found = run.engine.run(operation)
            try #require(found == expected, "seed \(seed), step \(step): \(operation)")
            switch run.generator.random.below(1000) {
            case 0: try run.remount()
            case 1..<6: try run.cleanSegment()
            case 6..<8: try run.compareAll()
            default: break
            }
        }
        try run.compareAll()
        run.model.closeAll()
        try run.remount()
        try run.deleteEverything()
        #expect(run.engine.volume.metadata.liveBytes.isEmpty)
        #expect(run.engine.volume.metadata.recordCount == 2 + run.model.files[0].xattrs.count)
        #expect(run.engine.volume.log.all.isEmpty)
    }
}

/// A model and an engine that ran the same operations.
struct ModelRun {
    let seed: UInt64
    var generator: OperationGenerator
    var model = ModelVolume()
    var engine: EngineRunner
    private let clock = TestClock()

    init(seed: UInt64, keepsHistory: Bool = false) throws {
        self.seed = seed
        generator = OperationGenerator(random: SeededRandom(seed: seed))
        let metadata = MemoryMetadataStore(keepsHistory: keepsHistory)
        let chunks = MemoryChunkStore(segmentLimitBytes: 100_000)
        engine = EngineRunner(try Self.volume(&generator.random, metadata, chunks, formats: true, clock))
    }

    static func volume(
        _ random: inout SeededRandom, _ metadata: MemoryMetadataStore, _ chunks: MemoryChunkStore, formats: Bool, _ clock: TestClock
    ) throws(Failure) -> TestVolume {
        let inlineLimit = random.element([0, 100, 2048])
        let batchLimit = random.element([1, 2, 5, 1000])
        let cacheLimit = random.element([0, 100_000])
        return try TestVolume(
            metadata: metadata, chunks: chunks, formats: formats, clock: clock,
            options: { options in
                options.inlineLimitBytes = inlineLimit
                options.batchRecordLimit = batchLimit
                options.cachedInodeLimit = cacheLimit
            })
    }

    /// Opens the same stores anew, with other options.
    mutating func remount() throws {
        model.closeAll()
        let old = engine.volume
        engine.volume = try Self.volume(&generator.random, old.metadata, old.chunks, formats: false, clock)
        try engine.volume.fileSystem.recoverOrphans()
        for failure in old.log.all { engine.volume.log.add(failure) }
    }

    /// Moves the live data out of a segment and takes the segment away.
    mutating func cleanSegment() throws {
        let volume = engine.volume
        volume.chunks.closeSegment()
        let segments = volume.chunks.segments
        if segments.isEmpty { return }
        let segment = generator.random.element(segments)
        var moved = 0
        for chunk in volume.chunks.chunks(of: segment) {
            moved += try volume.fileSystem.relocate(chunk.location, inode: InodeID(chunk.inode), fileOffset: chunk.fileOffset) {
                (data, inode, offset) throws(Failure) in
                try volume.chunks.write(data, inode: inode.rawValue, fileOffset: offset)
            }
        }
        #expect(volume.metadata.liveBytes[segment] == nil, "seed \(seed): segment \(segment), \(moved) bytes moved")
        volume.chunks.removeSegment(segment)
    }

    /// Compares each node that is there, and checks the records.
    mutating func compareAll() throws {
        let volume = engine.volume
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [], "seed \(seed)")
        // Whatever was written was named or given up, so a cleaner knows that nothing is on its way.
        #expect(volume.unclaimedSegments == [], "seed \(seed)")
        for node in model.dead.suffix(100) { #expect(engine.run(.status(node)) == .failed(.staleNFSFileHandle), "seed \(seed)") }
        for node in model.living {
            var operations: [Operation] = [.status(node), .listXattrs(node), .readLink(node), .read(node, 0, 40_000)]
            if model.files[node].type == .directory { operations.append(.list(node)) }
            for operation in operations {
                let expected = model.run(operation)
                try #require(engine.run(operation) == expected, "seed \(seed): \(operation)")
            }
            if model.files[node].type == .regular { try checkHoles(node) }
        }
    }

    /// What SEEK_DATA and SEEK_HOLE say must fit the content: all that is skipped is zeros.
    private func checkHoles(_ node: Node) throws {
        let content = model.files[node].content
        let inode = engine.inodes[node]
        let fileSystem = engine.volume.fileSystem
        var position = 0
        while position < content.count {
            let data: Int
            do throws(Errno) {
                data = Int(try fileSystem.seek(inode, from: UInt64(position), to: .data))
            } catch {
                #expect(error == .noSuchAddressOrDevice)
                data = content.count
            }
            try #require(data >= position && isZero(content[position..<data]), "seed \(seed)")
            if data == content.count { break }
            let hole = Int(try fileSystem.seek(inode, from: UInt64(data), to: .hole))
            try #require(hole > data && hole <= content.count, "seed \(seed)")
            #expect(try fileSystem.seek(inode, from: UInt64(hole - 1), to: .data) == UInt64(hole - 1), "seed \(seed)")
            position = hole
        }
    }

    /// Removes names until there are none.
    mutating func deleteEverything() throws {
        var progress = true
        while progress {
            progress = false
            for node in model.living where model.files[node].type == .directory && model.files[node].isThere {
                for (name, child) in model.files[node].entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                    let operation: Operation = model.files[child].type == .directory ? .removeDirectory(node, name) : .unlink(node, name)
                    let expected = model.run(operation)
                    try #require(engine.run(operation) == expected)
                    if expected == .done { progress = true }
                }
            }
        }
        try compareAll()
    }
}
