import Glibc
import Syscalls
import SystemPackage
import Testing

@testable import BlobStorage

/// What only a directory has: folders, locks, allocation.
@Suite struct DirectoryStorageTests {
    private let directory: TemporaryDirectory
    private let storage: DirectoryStorage
    private let id = BlobID(high: 0xABCD_0000_0000_0001, low: 1)

    init() throws {
        directory = try TemporaryDirectory()
        storage = try DirectoryStorage(path: directory.path, readOnly: false)
    }

    /// A folder that went may be made again at once by another thread, whose name for it must not be taken for durable.
    @Test func aFolderThatWentLeavesTheRootToBeSynced() throws {
        try storage.syncNames(of: [])
        #expect(!storage.needsRootSync)
        _ = try storage.createBlob(id)
        #expect(storage.needsRootSync)
        try storage.deleteBlob(id)
        #expect(storage.needsRootSync)
        #expect(try storage.names() == [], "the folder goes with its last blob")
        _ = try storage.createBlob(id)
        try storage.syncNames(of: [id])
        #expect(!storage.needsRootSync)
    }

    @Test func manyThreadsShareAFolder() throws {
        let failures = Monitor()
        nonisolated(unsafe) var count = 0
        let storage = storage
        let threads = (1...4 as ClosedRange<UInt64>).map { number in
            WorkerThread(name: "folder") {
                for _ in 0..<200 {
                    let id = BlobID(high: 0xABCD_0000_0000_0000, low: number)
                    do throws(Failure) {
                        _ = try storage.createBlob(id)
                        try storage.syncNames(of: [])
                        try storage.deleteBlob(id)
                    } catch { failures.withLock { count += 1 } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(count == 0)
        #expect(try storage.names() == [])
    }

    @Test func oneWriterOrManyReadersHoldALock() throws {
        #expect(failureKind { _ = try storage.lock("l", exclusive: false) } == .missing)
        var held = try storage.lock("l", exclusive: true)
        #expect(held != nil)
        #expect(try storage.lock("l", exclusive: true) == nil)
        #expect(try storage.lock("l", exclusive: false) == nil)
        held = nil
        let readers = try [storage.lock("l", exclusive: false), storage.lock("l", exclusive: false)]
        #expect(readers.allSatisfy { $0 != nil })
        #expect(try storage.lock("l", exclusive: true) == nil)
    }

    /// Who waits for a file that is replaced meanwhile gets the lock on the new one, once that is free.
    @Test(.timeLimit(.minutes(2))) func replacingComesOneAfterTheOther() throws {
        #expect(try storage.lockForReplacing("a") == nil)
        try storage.replaceSmallFile("a", with: [0])
        let failures = Monitor()
        nonisolated(unsafe) var count = 0
        let storage = storage
        let threads = (0..<4).map { _ in
            WorkerThread(name: "replacing") {
                for _ in 0..<25 {
                    do throws(Failure) {
                        let lock = try storage.lockForReplacing("a")
                        let now = try storage.readSmallFile("a", limitBytes: 1) ?? [200]
                        try storage.replaceSmallFile("a", with: [now[0] + 1])
                        withExtendedLifetime(lock) {}
                    } catch { failures.withLock { count += 1 } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(count == 0)
        #expect(try storage.readSmallFile("a", limitBytes: 1) == [100])
        #expect(try storage.names() == ["a"])
    }

    // MARK: Storage without fallocate(2)

    private func blob(failingWith error: Errno) throws -> FileBlob {
        let file = try OwnedDescriptor.open(directory.path + "/blob", O_RDWR | O_CREAT)
        return FileBlob(file, name: "blob") { (_, _) throws(Errno) in throw error }
    }

    private func blocksBytes() throws -> Int64 {
        try Int64(OwnedDescriptor.open(directory.path + "/blob", O_RDONLY).status().st_blocks) * 512
    }

    @Test(arguments: [Errno.notSupported, .invalidArgument]) func roomIsTakenByWritingWhereItCannotBeAllocated(error: Errno) throws {
        let blob = try blob(failingWith: error)
        try blob.write([1, 2, 3], at: 0)
        try blob.allocate(0..<3_000_000)
        #expect(try blob.sizeBytes() == 3_000_000)
        #expect(try blob.bytes(at: 0, count: 5) == [1, 2, 3, 0, 0], "what was there stays")
        #expect(try blocksBytes() >= 3_000_000)
        // Nothing of what was allocated is written again.
        try blob.write([4], at: 1000)
        try blob.allocate(500..<2000)
        try blob.allocate(0..<0)
        #expect(try blob.bytes(at: 1000, count: 1) == [4])
    }

    @Test func moreRoomThanThereIsIsNotTried() throws {
        let blob = try blob(failingWith: .notSupported)
        #expect(failureKind { try blob.allocate(0..<(1 << 60)) } == .noSpace)
        #expect(try blob.sizeBytes() == 0)
    }

    @Test func otherFailuresOfAllocationAreTold() throws {
        #expect(failureKind { try blob(failingWith: .noSpace).allocate(0..<10) } == .noSpace)
        #expect(failureKind { try blob(failingWith: .ioError).allocate(0..<10) } == .inputOutput)
    }
}
