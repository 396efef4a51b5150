import BlobStorage
import Records
import Synchronization
import Syscalls
import Testing

@testable import Log

/// What the cleaner takes, what it leaves, and what it costs.
@Suite struct LogCleaningTests {
    private static let options = testOptions(segmentSizeBytes: 64 << 10)

    private func claim(_ log: VolumeLog, _ key: UInt64, _ chunk: ChunkLocation) throws(Failure) {
        let batch = RecordBatch()
        [1].withUnsafeBytes { batch.put(RecordKey(.extent, key), $0) }
        batch.liveBytes(segment: chunk.segment, delta: Int64(chunk.sizeBytes))
        _ = try log.apply(batch)
    }

    private func release(_ log: VolumeLog, _ chunk: ChunkLocation) throws(Failure) {
        let batch = RecordBatch()
        batch.liveBytes(segment: chunk.segment, delta: -Int64(chunk.sizeBytes))
        _ = try log.apply(batch)
    }

    /// A segment must not be dropped between the writing of a chunk and the batch that names it, however short that time is.
    @Test func aChunkCountsBeforeItIsWritten() throws {
        let storage = HookStorage(MemoryStorage())
        let log = try createLog(storage, options: Self.options)
        let seen = Atomic<Int64>(0)
        storage.set { [unowned log] (event) throws(Failure) in
            guard case .writeBlob = event else { return }
            let unclaimed = log.changes.withLock { log.segments.values.reduce(0) { $0 + $1.unclaimedBytes } }
            seen.store(unclaimed, ordering: .relaxed)
        }
        let chunk = try log.writeChunk([UInt8](repeating: 1, count: 20_000))
        storage.set(nil)
        #expect(seen.load(ordering: .relaxed) == 20_000)
        // Counted once.
        log.abandonChunk(chunk)
        #expect(log.segments[chunk.segment]?.unclaimedBytes == 0)
    }

    /// Half of each segment's chunks are garbage. One segment's data cannot be read; the others are emptied all the same, in one round.
    @Test func oneUnreadableSegmentStopsNothing() throws {
        let reports = Mutex<[String]>([])
        var options = Self.options
        options.report = { text in reports.withLock { $0.append(text) } }
        let log = try createLog(MemoryStorage(), options: options)
        var live: [UInt64: ChunkLocation] = [:]
        for key in 0..<24 as Range<UInt64> {
            let chunk = try log.writeChunk([UInt8](repeating: 1, count: 15_000), inode: key)
            try claim(log, key, chunk)
            if key % 2 == 0 { try release(log, chunk) } else { live[key] = chunk }
        }
        try log.checkpoint()
        let bad = try #require(live[1]).segment
        let places = Mutex(live)
        log.setRelocator { [unowned log] (chunk, inode, _) throws(Failure) in
            guard places.withLock({ $0[inode] == chunk }) else { return 0 }
            if chunk.segment == bad { throw Failure(.inputOutput, "made to fail") }
            let moved = try log.writeChunk([UInt8](repeating: 1, count: 15_000), inode: inode)
            let batch = RecordBatch()
            batch.liveBytes(segment: chunk.segment, delta: -15_000)
            batch.liveBytes(segment: moved.segment, delta: 15_000)
            _ = try log.apply(batch)
            places.withLock { $0[inode] = moved }
            return 15_000
        }
        let segments = Set(live.values.map(\.segment)).filter { log.segments[$0]?.isActive == false }
        #expect(segments.count > 3)
        log.changes.withLock { log.isShortOfRoom = true }
        try log.maintain()
        for segment in segments where segment != bad { #expect(log.segments[segment]?.facts.liveBytes ?? 0 == 0) }
        #expect(log.segments[bad]?.isUncleanable == true)
        #expect(log.segments[bad]?.facts.liveBytes ?? 0 > 0)
        #expect(reports.withLock { $0.count } == 1)
    }

    @Test func totalsAreThoseOfAllSegments() {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var table = SegmentTable()
            for _ in 0..<300 {
                let number = UInt64.random(in: 0..<10, using: &generator)
                switch Int.random(in: 0..<6, using: &generator) {
                case 0:
                    table[number] = SegmentState(facts: SegmentFacts(number: number, blob: BlobID(high: 0, low: number)), isActive: true)
                case 1: table[number] = nil
                case 2: table.update(number) { $0.isActive.toggle() }
                case 3: table.update(number) { $0.facts.sizeBytes = .random(in: 0..<1000, using: &generator) }
                case 4: table.update(number) { $0.unclaimedBytes = .random(in: 0..<2, using: &generator) }
                default: table.update(number) { $0.facts.liveBytes = .random(in: 0..<3, using: &generator) }
                }
                var expected = SegmentTable.Totals()
                for state in table.values {
                    let (size, live) = (Int64(state.facts.sizeBytes), state.facts.liveBytes)
                    expected.sizeBytes += size
                    expected.liveBytes += live
                    if state.isActive { continue }
                    expected.garbageBytes += size - live
                    if live == 0, state.unclaimedBytes == 0 { expected.emptyBytes += size }
                }
                #expect(table.totals == expected, "seed \(seed)")
            }
        }
    }

    @Test func anIdleLogAsksForNoRoom() throws {
        let storage = HookStorage(MemoryStorage())
        let log = try createLog(storage, options: Self.options)
        try log.durable(try log.put(1, 0, [1]))
        try log.maintain()
        let looks = Atomic<Int>(0)
        storage.set { (event) throws(Failure) in if case .capacity = event { looks.add(1, ordering: .relaxed) } }
        for _ in 0..<5 { try log.maintain() }
        #expect(looks.load(ordering: .relaxed) == 0)
        try log.durable(try log.put(1, 0, [2]))
        try log.maintain()
        #expect(looks.load(ordering: .relaxed) > 0)
    }

    /// Replaced tables alone are no reason for a checkpoint in each round, however little room there is.
    @Test func littleRoomMakesNoCheckpointsByItself() throws {
        let log = try createLog(MemoryStorage(capacityBytes: 4 << 20), options: Self.options)
        for key in 0..<1000 as Range<UInt64> {
            if try log.storage.capacity().availableBytes < 440 << 10 { break }
            try claim(log, key, try log.writeChunk([UInt8](repeating: 1, count: 15_000)))
        }
        try log.checkpoint()
        #expect(log.isRoomWanted && !log.isShortOfRoomNow)
        let before = log.statistics.checkpoints
        for key in 0..<10 as Range<UInt64> {
            try log.durable(try log.put(key, 0, [1]))
            if key % 5 == 0 { try log.checkpoint() }
            try log.maintain()
        }
        #expect(log.statistics.checkpoints <= before + 5)
    }

    @Test func noMoreWritersWaitForRoomThanMay() throws {
        var options = Self.options
        options.roomWaiters = 1
        options.hasHousekeeper = true
        options.commitIntervalSeconds = 3600
        let log = try createLog(MemoryStorage(), options: options)
        // Nobody makes room: who waits does so for the whole time.
        log.cleaner.stop()
        for key in 0..<24 as Range<UInt64> {
            let chunk = try log.writeChunk([UInt8](repeating: 1, count: 15_000))
            try claim(log, key, chunk)
            try release(log, chunk)
        }
        log.changes.withLock {
            log.roomWaiters = 1
            log.isFull = true
        }
        let start = ContinuousClock.now
        #expect(!log.waitForRoom())
        #expect(throws: Failure.self) { try log.writeChunk([UInt8](repeating: 1, count: 15_000)) }
        // One that is written under a lock of the file system never waits.
        log.changes.withLock { log.roomWaiters = 0 }
        #expect(throws: Failure.self) { try log.writeChunk([UInt8](repeating: 1, count: 4096)) }
        #expect(ContinuousClock.now - start < .seconds(5))
        log.abandon()
    }

    @Test func manyCommitsAreManyOnlyWhileTheyCome() {
        var rate = CommitRate()
        func isMany(at second: Double) -> Bool { rate.add(at: second, intervalSeconds: 5) }
        // One a second, for ever: never many in five seconds.
        for second in 0..<100 { #expect(!isMany(at: Double(second))) }
        for step in 0..<39 { _ = isMany(at: 200 + Double(step) * 0.1) }
        #expect(isMany(at: 204))
        #expect(isMany(at: 206))
        #expect(!isMany(at: 212))
        #expect(!isMany(at: 300))
    }

    @Test func reportsOfOneKindAreLimited() {
        let passed = Mutex<[String]>([])
        let limiter = ReportLimiter(intervalSeconds: 60) { text in passed.withLock { $0.append(text) } }
        for number in 0..<5 {
            limiter.report("a \(number)", like: "a")
            limiter.report("b \(number)", like: "b")
        }
        #expect(passed.withLock { $0 } == ["a 0", "b 0"])
        #expect(!limiter.isDue("c", at: 100) || !limiter.isDue("c", at: 130))
        #expect(limiter.isDue("c", at: 161))
        for kind in 0..<1000 { _ = limiter.isDue("kind \(kind)", at: 200) }
        #expect(limiter.isDue("new", at: 200))
    }
}
