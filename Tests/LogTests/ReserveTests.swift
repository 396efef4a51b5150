import BlobStorage
import Syscalls
import Testing

@testable import Log

@Suite struct ReserveTests {
    private static let size: UInt64 = 1 << 20

    private func make(capacityBytes: UInt64, filledBytes: UInt64) throws -> (Reserve, MemoryStorage) {
        let storage = MemoryStorage(capacityBytes: capacityBytes)
        try storage.openSmallFile("other").allocate(0..<filledBytes)
        var options = testOptions()
        options.reserveBytes = Self.size
        return (Reserve(storage: storage, options: options), storage)
    }

    private func used(_ storage: MemoryStorage) throws -> UInt64 {
        let capacity = try storage.capacity()
        return capacity.totalBytes - capacity.availableBytes
    }

    /// Room may come without anybody's deleting something here.
    @Test func whatCouldNotBeTakenIsTriedAgain() throws {
        let (reserve, storage) = try make(capacityBytes: 32 << 20, filledBytes: 31 << 20)
        #expect(!reserve.take(atStart: true))
        #expect(!reserve.isHeld)
        #expect(!reserve.isDue(at: Clock.seconds()))
        #expect(reserve.isDue(at: Clock.seconds() + 61))
        try storage.deleteSmallFile("other")
        #expect(reserve.take())
        #expect(reserve.isHeld)
        #expect(!reserve.isDue(at: Clock.seconds() + 61))
        #expect(try used(storage) == Self.size)
    }

    @Test func aSmallerOneGrows() throws {
        // Five MiB are free, eight are wanted.
        let storage = MemoryStorage(capacityBytes: 160 << 20)
        try storage.openSmallFile("other").allocate(0..<155 << 20)
        var options = testOptions()
        options.reserveBytes = 8 << 20
        let reserve = Reserve(storage: storage, options: options)
        #expect(reserve.take(atStart: true))
        let small = try used(storage) - 155 << 20
        #expect(small < 8 << 20)
        #expect(reserve.isDue(at: Clock.seconds() + 61))
        #expect(reserve.take(), "what is held is not given up")
        try storage.deleteSmallFile("other")
        #expect(reserve.take())
        #expect(try used(storage) == 8 << 20)
        #expect(!reserve.isDue(at: Clock.seconds() + 61))
    }

    @Test func dataMayHaveHalfOfItAndCommitsTheRest() throws {
        let (reserve, storage) = try make(capacityBytes: 32 << 20, filledBytes: 1 << 20)
        #expect(reserve.take())
        #expect(FrameKind.chunk.use == .moving && FrameKind.commit.use == .committing)
        #expect(reserve.release(for: .moving))
        #expect(!reserve.isHeld)
        #expect(!reserve.release(for: .moving))
        #expect(try used(storage) == 1 << 20 + Self.size / 2)
        #expect(reserve.release(for: .committing))
        #expect(reserve.releaseCount == 2)
        #expect(reserve.take())
        #expect(reserve.isHeld)
    }

    /// Frames of data that find no room where room was allocated spend no more than half, and do not end all writing.
    @Test func aFrameOfDataSpendsHalfOfIt() throws {
        let faulty = FaultyStorage(MemoryStorage(capacityBytes: 64 << 20))
        var options = testOptions(segmentSizeBytes: 1 << 20)
        options.reserveBytes = Self.size
        let log = try createLog(faulty, options: options)
        try log.durable(try log.put(1, 0, [1]))
        faulty.set(FaultyStorage.Fault([.write], count: 1, FaultyStorage.Fault.noSpace))
        log.abandonChunk(try log.writeChunk([UInt8](repeating: 1, count: 10_000)))
        #expect(log.tail.failure == nil)
        #expect(log.reserve.bytesForMoving == 0)
        #expect(log.isFull)
        #expect(log.reserve.release(for: .committing), "the other half is there")
    }
}
