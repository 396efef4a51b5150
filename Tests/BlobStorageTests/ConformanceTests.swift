import BlobStorage
import Syscalls
import Testing

/// What storage promises to the layers above, over every kind of it that there is.
@Suite struct ConformanceTests {
    enum Kind: String, CaseIterable, Sendable { case memory, directory, faulty, crash }

    private func with(_ kind: Kind, _ body: (any BlobStorage) throws -> Void) throws {
        switch kind {
        case .memory: try body(MemoryStorage())
        case .crash: try body(CrashStorage())
        case .faulty: try body(FaultyStorage(MemoryStorage()))
        case .directory:
            let directory = try TemporaryDirectory()
            try body(try DirectoryStorage(path: directory.path, readOnly: false))
            withExtendedLifetime(directory) {}
        }
    }

    private let first = BlobID(high: 0xABCD_0000_0000_0001, low: 1)
    /// In the same folder as `first`, and in another one.
    private let sibling = BlobID(high: 0xABCD_0000_0000_0001, low: .max)
    private let other = BlobID(high: 0, low: 0)

    private func list(_ storage: any BlobStorage) throws -> Set<BlobID> {
        var all: Set<BlobID> = []
        try storage.listBlobs { (id) throws(Failure) in #expect(all.insert(id).inserted) }
        return all
    }

    @Test(arguments: Kind.allCases) func blobsAreMadeOnceAndDeletedOnce(kind: Kind) throws {
        try with(kind) { storage in
            #expect(!storage.isReadOnly && !storage.name.isEmpty)
            #expect(try list(storage) == [])
            for id in [first, sibling, other] { try storage.createBlob(id).write([1], at: 0) }
            #expect(failureKind { _ = try storage.createBlob(first) } == .alreadyExists)
            #expect(try storage.openBlob(first).all() == [1])
            #expect(try list(storage) == [first, sibling, other])
            try storage.deleteBlob(first)
            #expect(try list(storage) == [sibling, other])
            for missing in [{ _ = try storage.openBlob(first) }, { try storage.deleteBlob(first) }, { try storage.syncBlob(first) }] {
                #expect(failureKind(missing) == .missing)
            }
            #expect(failureKind { try storage.truncateBlob(first, to: 0) } == .missing)
            // The name can be used again, also as the first of its folder.
            try storage.deleteBlob(sibling)
            try storage.createBlob(first).write([2], at: 0)
            #expect(try storage.openBlob(first).all() == [2])
        }
    }

    @Test(arguments: Kind.allCases) func blobsHoldWhatIsWritten(kind: Kind) throws {
        try with(kind) { storage in
            let blob = try storage.createBlob(first)
            #expect(try blob.sizeBytes() == 0)
            #expect(try blob.bytes(at: 0, count: 10) == [])
            // With a gap, which is zeros until it is filled.
            try blob.write([7, 8, 9], at: 5)
            #expect(try blob.all() == [0, 0, 0, 0, 0, 7, 8, 9])
            try blob.write([1, 2], at: 1)
            try blob.write([3], at: 5)
            let expected: [UInt8] = [0, 1, 2, 0, 0, 3, 8, 9]
            let reader = try storage.openBlob(first)
            for offset in 0...10 {
                for count in 0...10 {
                    #expect(try reader.bytes(at: UInt64(offset), count: count) == Array(expected.dropFirst(offset).prefix(count)))
                }
            }
            try blob.truncate(to: 3)
            #expect(try reader.all() == [0, 1, 2])
            try blob.truncate(to: 5)
            #expect(try reader.all() == [0, 1, 2, 0, 0])
            try storage.truncateBlob(first, to: 2)
            #expect(try reader.all() == [0, 1])
            try blob.zeroFill(1..<4)
            #expect(try reader.all() == [0, 0, 0, 0])
        }
    }

    @Test(arguments: Kind.allCases) func allocatedRoomReadsAsZerosAndKeepsWhatIsThere(kind: Kind) throws {
        try with(kind) { storage in
            let blob = try storage.createBlob(first)
            try blob.write([1, 2, 3], at: 0)
            try blob.allocate(2..<4000)
            try blob.allocate(10..<10)
            let all = try blob.all()
            #expect(all.starts(with: [1, 2, 3]) && all.dropFirst(3).allSatisfy { $0 == 0 })
            try blob.write([4], at: 3999)
            #expect(try blob.bytes(at: 3998, count: 2) == [0, 4])
        }
    }

    @Test(arguments: Kind.allCases) func namesAndContentsAreSyncedInAnyOrder(kind: Kind) throws {
        try with(kind) { storage in
            let blobs = try [first, sibling, other].map { try storage.createBlob($0) }
            try storage.syncNames(of: [])
            try storage.syncNames(of: [first, sibling, other])
            try blobs[0].write([1], at: 0)
            try blobs[0].sync()
            try storage.syncBlob(sibling)
            try storage.deleteBlob(other)
            try storage.syncNames(of: [first])
            #expect(try storage.openBlob(first).all() == [1])
        }
    }

    @Test(arguments: Kind.allCases) func smallFilesAreReplacedAsAWhole(kind: Kind) throws {
        try with(kind) { storage in
            #expect(try storage.readSmallFile("a", limitBytes: 10) == nil)
            #expect(failureKind { try storage.deleteSmallFile("a") } == .missing)
            try storage.replaceSmallFile("a", with: [1, 2, 3])
            try storage.replaceSmallFile("a", with: [4, 5])
            #expect(try storage.readSmallFile("a", limitBytes: 2) == [4, 5])
            #expect(failureKind { _ = try storage.readSmallFile("a", limitBytes: 1) } == .damaged)
            try storage.replaceSmallFile("a", with: [])
            #expect(try storage.readSmallFile("a", limitBytes: 0) == [])
            let file = try storage.openSmallFile("b")
            try file.write([1, 2, 3], at: 0)
            try file.write([9], at: 1)
            try file.sync()
            #expect(try storage.openSmallFile("b").all() == [1, 9, 3])
            #expect(try storage.readSmallFile("b", limitBytes: 100) == [1, 9, 3])
            try storage.deleteSmallFile("b")
            #expect(try storage.readSmallFile("b", limitBytes: 100) == nil)
            // They are no blobs.
            #expect(try list(storage) == [])
        }
    }

    @Test(arguments: Kind.allCases) func roomIsTold(kind: Kind) throws {
        try with(kind) { storage in
            let capacity = try storage.capacity()
            #expect(capacity.totalBytes > 0 && capacity.availableBytes <= capacity.totalBytes)
            #expect(capacity.availableToUsersBytes <= capacity.availableBytes)
        }
    }

    /// A power cut at each moment: what a name or a content may look like, and from when on it is certain.
    @Test func aNameAndAContentAreCertainOnceEachIsSynced() throws {
        let storage = CrashStorage()
        let blob = try storage.createBlob(first)
        let made = storage.operationCount
        try blob.write([1, 2, 3], at: 0)
        try blob.sync()
        let synced = storage.operationCount
        try storage.syncNames(of: [first])
        let named = storage.operationCount
        try blob.write([9], at: 0)
        try storage.deleteBlob(first)
        var lostItsName = 0
        var lostNothing = 0
        storage.forEachPowerCut(seeds: 0..<8) { point, _, left in
            let bytes = left.blobs[first]
            if point < made { #expect(bytes == nil) }
            if point >= synced, let bytes { #expect(bytes == [1, 2, 3] || bytes == [9, 2, 3], "point \(point)") }
            if point == synced, bytes == nil { lostItsName += 1 }
            if point == named { #expect(bytes == [1, 2, 3]) }
            if point == storage.operationCount, bytes != nil { lostNothing += 1 }
        }
        #expect(lostItsName > 0, "a name that was not synced may be lost")
        #expect(lostNothing > 0, "a deletion may be lost")
    }

    @Test func faultsComeWhenTheyAreToldTo() throws {
        let storage = FaultyStorage(MemoryStorage())
        let blob = try storage.createBlob(first)
        storage.set(FaultyStorage.Fault([.write], after: 1, count: 1, FaultyStorage.Fault.ioError))
        try blob.write([1, 2], at: 0)
        #expect(failureKind { try blob.write([3, 4], at: 2) } == .inputOutput)
        #expect(try blob.all() == [1, 2, 3], "half of it was written")
        try blob.write([3, 4], at: 2)
        #expect(storage.failureCount == 1)
    }
}
