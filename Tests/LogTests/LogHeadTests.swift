import BlobStorage
import Records
import Synchronization
import Syscalls
import Testing

@testable import Log

/// The head is two slots, of which one is always whole: a slot that could not be written is no reason to end all writing.
@Suite struct LogHeadTests {
    private static let head = HeadFile.name(writer: 0)

    private func fail(_ storage: HookStorage, times: Int, _ failure: Failure, _ isIt: @escaping @Sendable (HookStorage.Event) -> Bool) {
        let left = Atomic<Int>(times)
        storage.set { (event) throws(Failure) in
            if isIt(event), left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 { throw failure }
        }
    }

    private static let isHeadWrite: @Sendable (HookStorage.Event) -> Bool = { if case .writeFile(head) = $0 { true } else { false } }
    private static let isHeadOpening: @Sendable (HookStorage.Event) -> Bool = { if case .openFile(head) = $0 { true } else { false } }
    private static let isHeadSync: @Sendable (HookStorage.Event) -> Bool = { if case .syncFile(head) = $0 { true } else { false } }

    @Test func theReserveMakesRoomForTheHead() throws {
        let storage = HookStorage(MemoryStorage(capacityBytes: 64 << 20))
        var options = testOptions()
        options.reserveBytes = 1 << 20
        let log = try createLog(storage, options: options)
        try log.durable(try log.put(1, 0, [1]))
        fail(storage, times: 1, FaultyStorage.Fault.noSpace, Self.isHeadWrite)
        try log.checkpoint()
        #expect(log.tail.failure == nil)
        #expect(try recordsFound(storage) == [1: [1]])
    }

    @Test(arguments: [FaultyStorage.Fault.noSpace, FaultyStorage.Fault.ioError])
    func aCheckpointWhoseHeadCouldNotBeWrittenIsMadeAgain(failure: Failure) throws {
        let memory = MemoryStorage()
        let storage = HookStorage(memory)
        let log = try createLog(storage)
        for key in 1...3 as ClosedRange<UInt64> {
            try log.durable(try log.put(key, 0, [1]))
            fail(storage, times: 2, failure, Self.isHeadWrite)
            #expect(throws: Failure.self) { try log.checkpoint() }
            #expect(log.tail.failure == nil)
            #expect(try recordsFound(memory).count == Int(key))
        }
        storage.set(nil)
        try log.durable(try log.put(4, 0, [1]))
        try log.checkpoint()
        #expect(try recordsFound(memory).count == 4)
        try log.close()
        #expect(try recordsFound(memory).count == 4)
    }

    @Test func aHeadThatCouldNotBeSyncedEndsAllWriting() throws {
        let storage = HookStorage(MemoryStorage())
        let log = try createLog(storage)
        try log.durable(try log.put(1, 0, [1]))
        fail(storage, times: 1, FaultyStorage.Fault.ioError, Self.isHeadSync)
        #expect(throws: Failure.self) { try log.checkpoint() }
        #expect(log.tail.failure != nil)
    }

    /// The session's first checkpoint is in its log already then: it is replayed, and not taken for the commit before.
    @Test(arguments: [1, 2, 5], [true, false]) func aSessionWhoseHeadCouldNotBeWrittenBeginsLater(times: Int, opening: Bool) throws {
        let memory = MemoryStorage()
        let first = try createLog(memory)
        try first.durable(try first.put(1, 0, [1]))
        try first.close()
        let storage = HookStorage(memory)
        let log = try openLog(storage)
        let before = log.durable
        fail(storage, times: times, FaultyStorage.Fault.noSpace, opening ? Self.isHeadOpening : Self.isHeadWrite)
        let token = try log.put(2, 0, [2])
        for _ in 0..<times {
            #expect(throws: Failure.self) { try log.durable(token) }
            #expect(log.tail.failure == nil)
            #expect(log.durable == before, "no head leads to what was written")
            #expect(try recordsFound(memory) == [1: [1]])
        }
        try log.durable(token)
        #expect(try recordsFound(memory) == [1: [1], 2: [2]])
        try log.durable(try log.put(3, 0, [3]))
        #expect(try recordsFound(memory).count == 3)
        try log.close()
        #expect(try recordsFound(memory).count == 3)
    }
}
