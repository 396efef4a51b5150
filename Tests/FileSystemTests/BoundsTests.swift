import MetadataStore
import Records
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem

/// What one request may ask for, and what a damaged volume may make it do.
@Suite struct BoundsTests {
    @Test(.timeLimit(.minutes(1))) func sparseCopiesAreShortAndStaySparse() throws {
        let volume = try TestVolume()
        let source = try volume.makeFile(.root, "source")
        let target = try volume.makeFile(.root, "target")
        let tebibyte = UInt64(1) << 40
        try volume.write(source, at: 5, [1, 2, 3])
        try volume.write(source, at: tebibyte, [4])
        try volume.write(target, at: 1 << 30, [9, 9, 9])
        var done: UInt64 = 0
        var calls = 0
        while done <= tebibyte {
            let count = try volume.fileSystem.copyRange(from: source, at: done, to: target, at: done, length: tebibyte + 1 - done)
            #expect(count > 0)
            if count == 0 { return }
            done += count
            calls += 1
        }
        #expect(calls < 10)
        #expect(try volume.read(target, at: 0, count: 10) == [0, 0, 0, 0, 0, 1, 2, 3, 0, 0])
        #expect(try volume.read(target, at: 1 << 30, count: 3) == [0, 0, 0])
        #expect(try volume.read(target, at: tebibyte, count: 3) == [4])
        let attributes = try volume.fileSystem.attributes(target)
        #expect(attributes.sizeBytes == tebibyte + 1 && attributes.blockCount < 4096)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
    }

    @Test func copiesAreBoundedAndInterruptible() throws {
        let volume = try TestVolume()
        let source = try volume.makeFile(.root, "source")
        let target = try volume.makeFile(.root, "target")
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        for index in 0..<70 { try volume.write(source, at: UInt64(index) << 20, piece) }
        let count = try volume.fileSystem.copyRange(from: source, at: 0, to: target, at: 0, length: 70 << 20)
        #expect(count >= 1 << 20 && count <= 64 << 20)
        let short = try volume.fileSystem.copyRange(
            from: source, at: 0, to: target, at: 0, length: 70 << 20, isInterrupted: { true })
        #expect(short > 0 && short < count)
    }

    /// Zeroing a range of many extents lets others in between and stops when asked to.
    @Test func allocationsAreInterruptible() throws {
        let volume = try TestVolume(options: { $0.batchRecordLimit = 10 })
        let file = try volume.makeFile(.root, "f")
        for index in 0..<100 { try volume.write(file, at: UInt64(index) * 8192 + 4096, [UInt8](repeating: 1, count: 4096)) }
        #expect(throws: Errno.interrupted) {
            try volume.fileSystem.allocate(
                file, offset: 0, length: 1 << 20, mode: .zeroRange(keepSize: true), isInterrupted: { true })
        }
        #expect(try volume.read(file, at: 4096, count: 1) == [0])
        #expect(try volume.read(file, at: 99 * 8192 + 4096, count: 1) == [1])
        try volume.fileSystem.allocate(file, offset: 0, length: 1 << 20, mode: .zeroRange(keepSize: true))
        #expect(try volume.read(file, at: 99 * 8192 + 4096, count: 1) == [0])
        #expect(try volume.fileSystem.attributes(file).sizeBytes == 100 * 8192)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
    }

    @Test func nobodyReservesMoreThanThereIs() throws {
        let volume = try TestVolume(availableBytes: 1 << 20)
        let file = try volume.makeFile(.root, "f")
        #expect(throws: Errno.noSpace) {
            try volume.fileSystem.allocate(file, offset: 0, length: 2 << 20, mode: .allocate(keepSize: false))
        }
        #expect(throws: Errno.noSpace) {
            try volume.fileSystem.allocate(file, offset: 0, length: 2 << 20, mode: .zeroRange(keepSize: true))
        }
        try volume.fileSystem.allocate(file, offset: 0, length: 1 << 20, mode: .allocate(keepSize: false))
        try volume.fileSystem.allocate(file, offset: 0, length: 2 << 20, mode: .punchHole)
    }

    @Test(.timeLimit(.minutes(1))) func parentsInACircle() throws {
        let metadata = MemoryMetadataStore()
        var ids: [InodeID] = []
        do {
            let volume = try TestVolume(metadata: metadata)
            var parent = InodeID.root
            for name in ["a", "b", "c"] {
                parent = try volume.makeDirectory(parent, name)
                ids.append(parent)
            }
            ids.append(try volume.makeDirectory(.root, "moved"))
        }
        var record: InodeRecord?
        #expect(try metadata.get(Keys.inode(ids[0].rawValue)) { record = InodeRecord.decode($0) })
        var damaged = try #require(record)
        damaged.parent = ids[2].rawValue
        let batch = RecordBatch()
        batch.put(Keys.inode(ids[0].rawValue)) { damaged.encode(into: &$0) }
        _ = try metadata.apply(batch, [])
        let volume = try TestVolume(metadata: metadata, formats: false)
        #expect(throws: Errno.ioError) { try volume.rename(.root, Array("moved".utf8), ids[1], Array("moved".utf8)) }
        #expect(volume.log.all.count == 1)
    }

    /// A directory that counts fewer links than it has directories.
    @Test func linkCountsThatAreTooSmall() throws {
        let metadata = MemoryMetadataStore()
        let directory: InodeID
        do {
            let volume = try TestVolume(metadata: metadata)
            directory = try volume.makeDirectory(.root, "d")
            for name in ["a", "b"] { _ = try volume.makeDirectory(directory, name) }
        }
        var record: InodeRecord?
        #expect(try metadata.get(Keys.inode(directory.rawValue)) { record = InodeRecord.decode($0) })
        var damaged = try #require(record)
        damaged.linkCount = 1
        let batch = RecordBatch()
        batch.put(Keys.inode(directory.rawValue)) { damaged.encode(into: &$0) }
        _ = try metadata.apply(batch, [])
        let volume = try TestVolume(metadata: metadata, formats: false)
        try volume.removeDirectory(directory, "a")
        try volume.rename(directory, Array("b".utf8), .root, Array("b".utf8))
    }

    @Test func namesOfAttributesThatCannotBeListed() throws {
        let volume = try TestVolume()
        let file = try volume.makeFile(.root, "f")
        func set(_ number: Int) throws(Errno) {
            let name = Array("user.\(number).".utf8) + [UInt8](repeating: 0x61, count: 240 - "\(number)".utf8.count)
            try name.withBytes { (name) throws(Errno) in
                try [1].withBytes { (value) throws(Errno) in
                    try volume.fileSystem.setExtendedAttribute(file, name, value: value, mode: .createOrReplace)
                }
            }
        }
        var count = 0
        do throws(Errno) {
            while count < 1000 {
                try set(count)
                count += 1
            }
        } catch { #expect(error == .noSpace) }
        #expect(count > 250 && count < 270)
        let size = try volume.fileSystem.listExtendedAttributes(file, into: .init(start: nil, count: 0))
        #expect(size <= 65_536)
        try set(0)  // replacing goes on
    }

    @Test func likeFailuresAreToldOnceAMinute() {
        let time = TestClock()
        let limit = ReportLimit(seconds: { time.now().seconds })
        func failure(_ object: String, _ message: String = "it failed") -> Failure { Failure(.inputOutput, message, object: object) }
        #expect(limit.isDue(failure("a")))
        #expect(!limit.isDue(failure("b")))
        #expect(limit.isDue(failure("a", "something else failed")))
        time.advance(seconds: 61)
        #expect(limit.isDue(failure("a")))
        for number in 0..<2000 { _ = limit.isDue(failure("a", "failure \(number)")) }
        #expect(!limit.isDue(failure("a", "failure 3000")))
        time.advance(seconds: 61)
        #expect(limit.isDue(failure("a", "failure 3000")))
    }
}
