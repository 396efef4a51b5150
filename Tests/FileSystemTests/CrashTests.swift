import FileSystem
import MetadataStore
import SystemPackage
import Testing

/// A crash leaves the state after some batch: each must open, recover and be consistent, and between operations be what the
/// model was then.
@Suite struct CrashTests {
    @Test(arguments: seeds(4, "crashes"))
    func everyBatchLeavesAValidState(seed: UInt64) throws {
        var run = try ModelRun(seed: seed, keepsHistory: true)
        var states: [Int: [String]] = [:]
        let metadata = run.engine.volume.metadata
        for step in 0..<1500 {
            let operation = run.generator.next(run.model)
            let expected = run.model.run(operation)
            try #require(run.engine.run(operation) == expected, "seed \(seed), step \(step): \(operation)")
            if step % 10 == 0 { states[metadata.historyCount] = run.model.treeDescription() }
        }
        var crashes = Set(states.keys)
        for _ in 0..<150 { crashes.insert(1 + run.generator.random.below(metadata.historyCount)) }
        for crash in crashes.sorted() {
            let store = metadata.replayed(batchCount: crash)
            let volume = try TestVolume(metadata: store, chunks: run.engine.volume.chunks, formats: false)
            #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [], "seed \(seed), crash \(crash)")
            try volume.fileSystem.recoverOrphans()
            #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [], "seed \(seed), crash \(crash)")
            let tree = try volume.treeDescription()
            if let expected = states[crash] { #expect(tree == expected, "seed \(seed), crash \(crash)") }
            // Nothing without a name is left, and no number is given out twice.
            let made = try volume.makeFile(.root, "new")
            #expect(try volume.lookup(.root, "new").inode == made)
            #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [], "seed \(seed), crash \(crash)")
        }
    }

    @Test func deletionThatStopped() throws {
        let metadata = MemoryMetadataStore(keepsHistory: true)
        let volume = try TestVolume(
            metadata: metadata,
            options: { options in
                options.inlineLimitBytes = 0
                options.batchRecordLimit = 3
            })
        let file = try volume.makeFile(.root, "f")
        for offset in 0..<20 { try volume.write(file, at: UInt64(offset * 10), [UInt8](repeating: 9, count: 10)) }
        for number in 0..<10 { try volume.setXattr(file, Array("user.\(number)".utf8), [1]) }
        let before = metadata.historyCount
        try volume.unlink(.root, "f")
        #expect(metadata.historyCount > before + 5)
        for crash in before...metadata.historyCount {
            let store = metadata.replayed(batchCount: crash)
            let after = try TestVolume(metadata: store, chunks: volume.chunks, formats: false)
            let recovered = try after.fileSystem.recoverOrphans()
            #expect(recovered == (crash == before || crash == metadata.historyCount ? 0 : 1))
            #expect(try after.fileSystem.checkInvariants(expectedLiveBytes: store.liveBytes) == [])
            if crash > before {
                #expect(store.liveBytes.isEmpty)
                #expect(store.recordCount == 2)
            }
        }
    }
}
