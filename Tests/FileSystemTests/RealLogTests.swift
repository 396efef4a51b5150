import BlobStorage
import FileSystem
import Glibc
import MetadataStore
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import Log

/// The file system over the log itself: what each promises the other holds only together. Segments are small, and whatever goes on in the
/// background comes often.
@Suite struct RealLogTests {
    private static let keys = KeyHierarchy(
        suite: .aes256Gcm, volumeID: Array(0..<16), volumeKey: SecretBytes(count: 32) { $0.copyBytes(from: Array(100..<132)) })

    private static var options: LogOptions {
        var options = LogOptions()
        options.hasHousekeeper = false
        options.segmentSizeBytes = 64 << 10
        options.memoryTableBytes = 64 << 10
        options.reserveBytes = 0
        return options
    }

    private static func create(_ storage: any BlobStorage, _ options: LogOptions) throws(Failure) -> VolumeLog {
        try VolumeLog.create(storage, keys: keys, headerDigest: .zero, options: options)
    }

    private static func open(_ storage: any BlobStorage) throws(Failure) -> VolumeLog {
        try VolumeLog.open(storage, keys: keys, headerDigest: .zero, options: options) { (_) throws(Failure) in }
    }

    /// As a volume does.
    private static func attachCleaner(_ log: VolumeLog, _ fileSystem: FileSystem) {
        log.setRelocator { [unowned log] (chunk, inode, fileOffset) throws(Failure) in
            try fileSystem.relocate(chunk, inode: InodeID(inode), fileOffset: fileOffset) { (data, inode, offset) throws(Failure) in
                try log.writeChunk(data, inode: inode.rawValue, fileOffset: offset)
            }
        }
    }

    // MARK: One thread, a model, and power cuts

    private struct Run {
        let seed: UInt64
        let storage = CrashStorage()
        var log: VolumeLog
        var generator: OperationGenerator
        var model = ModelVolume()
        var engine: EngineRunner
        private let clock = TestClock()

        init(seed: UInt64) throws(Failure) {
            self.seed = seed
            generator = OperationGenerator(random: SeededRandom(seed: seed))
            log = try RealLogTests.create(storage, RealLogTests.options)
            engine = EngineRunner(try Self.volume(log, formats: true, clock))
        }

        static func volume(_ log: VolumeLog, formats: Bool, _ clock: TestClock) throws(Failure) -> TestVolume {
            let volume = try TestVolume(
                over: log, formats: formats, clock: clock,
                options: { options in
                    options.inlineLimitBytes = 100
                    options.batchRecordLimit = 5
                })
            RealLogTests.attachCleaner(log, volume.fileSystem)
            return volume
        }

        mutating func step(_ number: Int) throws {
            let operation = generator.next(model)
            let expected = model.run(operation)
            try #require(engine.run(operation) == expected, "seed \(seed), step \(number): \(operation)")
            switch generator.random.below(1000) {
            case 0..<20: try log.durable(log.currentToken())
            case 20..<50: try maintain()
            case 50..<54: try log.checkpoint()
            case 54..<57: try remount(closing: generator.random.chance(50))
            case 57..<62: try cutPower()
            default: break
            }
        }

        /// One round of what goes on in the background, as if a write had found no room: there is little to clean otherwise.
        private mutating func maintain() throws {
            if generator.random.chance(70) { log.changes.withLock { log.isShortOfRoom = true } }
            try log.maintain()
            try check(log, engine.volume, "after upkeep")
        }

        private mutating func remount(closing: Bool) throws {
            model.closeAll()
            if closing { try log.close() } else { try log.durable(log.currentToken()) }
            log = try RealLogTests.open(storage)
            engine.volume = try Self.volume(log, formats: false, clock)
            try engine.volume.fileSystem.recoverOrphans()
        }

        /// What was just made durable is there after a power cut, whatever the disk did with the rest.
        private func cutPower() throws {
            try log.durable(log.currentToken())
            let expected = model.treeDescription()
            try storage.forEachPowerCut(from: storage.operationCount, seeds: 0..<1) { _, _, left in
                let found = try Self.reopen(left, seed, clock, "durable")
                #expect(found == expected, "seed \(seed)")
            }
        }

        /// The tree of what a power cut left. All of it can be read.
        static func reopen(_ left: CrashContents, _ seed: UInt64, _ clock: TestClock, _ place: String) throws -> [String] {
            let log = try RealLogTests.open(CrashStorage(left))
            let volume = try self.volume(log, formats: false, clock)
            try volume.fileSystem.recoverOrphans()
            let tree = try volume.treeDescription()
            log.changes.withLock { log.isShortOfRoom = true }
            try log.maintain()
            try log.maintain()
            #expect(try volume.treeDescription() == tree, "seed \(seed), \(place): cleaning changes nothing")
            #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: log.presentLiveBytes) == [], "seed \(seed), \(place)")
            return tree
        }

        func check(_ log: VolumeLog, _ volume: TestVolume, _ place: String) throws {
            #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: log.presentLiveBytes) == [], "seed \(seed), \(place)")
            #expect(log.segments.values.allSatisfy { $0.unclaimedBytes == 0 }, "seed \(seed), \(place)")
            #expect(log.segments.values.allSatisfy { !$0.isUncleanable }, "seed \(seed), \(place)")
        }

        func finish() throws {
            try check(log, engine.volume, "at the end")
            #expect(try engine.volume.treeDescription() == model.treeDescription(), "seed \(seed)")
            #expect(engine.volume.log.all.map(\.description) == [], "seed \(seed)")
            let stride = max(1, storage.operationCount / 30)
            // Before the first head there is no volume.
            try storage.forEachPowerCut(from: 40, every: stride, seeds: seed..<seed + 1) { point, _, left in
                _ = try Self.reopen(left, seed, clock, "cut at \(point)")
            }
        }
    }

    @Test(arguments: seeds(2, "real log")) func modelOverTheLog(seed: UInt64) throws {
        var run = try Run(seed: seed)
        for step in 0..<1500 { try run.step(step) }
        try run.finish()
    }

    // MARK: Threads

    /// Truncating, unlinking, writing and reading beside the log's own threads, which commit, merge, clean and drop segments all the time.
    @Test(arguments: seeds(2, "real log, all at once")) func allAtOnceOverTheLog(seed: UInt64) throws {
        let reports = Mutex<[String]>([])
        var options = Self.options
        options.hasHousekeeper = true
        options.commitIntervalSeconds = 0.02
        options.report = { text in reports.withLock { $0.append(text) } }
        let log = try Self.create(MemoryStorage(), options)
        let volume = try TestVolume(
            over: log, formats: true,
            options: { options in
                options.inlineLimitBytes = 100
                options.batchRecordLimit = 20
                options.cachedInodeLimit = 0
            })
        Self.attachCleaner(log, volume.fileSystem)
        let shared = ConcurrencyTests.Shared(3)
        var threads = (0..<3).map { number in
            WorkerThread(name: "worker") {
                var worker = ConcurrencyTests.Worker(volume: volume, shared: shared, random: SeededRandom(seed: seed &+ UInt64(number)))
                for _ in 0..<1200 { worker.step() }
                worker.letGo()
                shared.working.subtract(1, ordering: .releasing)
            }
        }
        threads.append(
            WorkerThread(name: "upkeep") {
                while shared.working.load(ordering: .acquiring) > 0 {
                    log.changes.withLock { log.isShortOfRoom = true }
                    log.cleaner.kick()
                    log.committer.kick()
                    do throws(Failure) { try log.checkpoint() } catch { shared.complain("checkpoint: \(error)") }
                }
            })
        for thread in threads { thread.join() }
        let cleaned = log.statistics.cleanedSegments
        #expect(shared.complaints.withLock { $0 } == [], "seed \(seed)")
        #expect(reports.withLock { $0 } == [], "seed \(seed)")
        #expect(volume.log.all.map(\.description) == [], "seed \(seed)")
        #expect(cleaned > 0, "seed \(seed): nothing was cleaned")
        #expect(try volume.fileSystem.recoverOrphans() == 0, "seed \(seed)")
        let tree = try volume.treeDescription()
        try log.close()
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: log.presentLiveBytes) == [], "seed \(seed)")
        #expect(log.segments.values.allSatisfy { $0.unclaimedBytes == 0 }, "seed \(seed)")
        log.setRelocator(nil)
        let again = try Self.open(log.storage)
        #expect(try TestVolume(over: again, formats: false).treeDescription() == tree, "seed \(seed)")
        again.abandon()
    }
}

extension VolumeLog {
    /// Live bytes of segments that have some.
    fileprivate var presentLiveBytes: [UInt64: Int64] { liveBytesBySegment.filter { $0.value != 0 } }
}
