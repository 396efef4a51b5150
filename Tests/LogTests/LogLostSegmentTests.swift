import BlobStorage
import Records
import Sealing
import Syscalls
import Testing

@testable import Log

/// A frame that led on is damaged, and with it everything behind it seems never to have been. What stands there was acknowledged: it is
/// neither deleted nor passed over.
@Suite struct LogLostSegmentTests {
    private static let options = testOptions(segmentSizeBytes: 64 << 10)

    /// A log of some segments that was not closed, with acknowledged commits in all of them, and where the second commit begins.
    private func make(_ storage: MemoryStorage) throws -> LogPosition {
        let log = try createLog(storage, options: Self.options)
        try log.durable(try log.put(0, 0, [1]))
        let second = try #require(log.tail.commitEnd)
        for key in 1..<12 as Range<UInt64> {
            try log.durable(try log.put(key, 0, [UInt8](repeating: 1, count: 20_000)))
        }
        #expect(try #require(log.tail.commitEnd).segment > second.segment + 1)
        return second
    }

    private func blobs(_ storage: MemoryStorage) throws -> Set<BlobID> {
        var all: Set<BlobID> = []
        try storage.listBlobs { all.insert($0) }
        return all
    }

    private func open(_ storage: MemoryStorage, acceptsRollback: Bool = false) throws(Failure) -> VolumeLog {
        var options = Self.options
        options.acceptsRollback = acceptsRollback
        return try openLog(storage, options: options)
    }

    /// With one header flipped no frame behind it can be found, not even the next segment.
    @Test func aDamagedHeaderIsDamage() throws {
        let storage = MemoryStorage()
        let second = try make(storage)
        let blob = try #require(try storage.openBlob(second.blob) as? any WritableBlob)
        try [0xA5].withUnsafeBytes { try blob.write($0, at: second.offset) }
        let before = try blobs(storage)
        for _ in 0..<2 {
            let failure = #expect(throws: Failure.self) { try open(storage) }
            #expect(failure?.kind == .damaged)
            #expect(try blobs(storage) == before)
        }
        let log = try open(storage, acceptsRollback: true)
        #expect(try log.all() == [0: [1]])
        try log.durable(try log.put(5, 0, [5]))
        try log.maintain()
        try log.close()
        #expect(try open(storage).all() == [0: [1], 5: [5]])
        #expect(try blobs(storage).isDisjoint(with: before.subtracting([second.blob])))
    }

    /// A storage that lost the end of a segment: nothing there says that there was more, until the strays are looked at.
    @Test func whatIsFoundOnlyLaterIsNotDeletedEither() throws {
        let storage = MemoryStorage()
        let second = try make(storage)
        try storage.truncateBlob(second.blob, to: second.offset)
        let before = try blobs(storage)
        let log = try open(storage)
        try log.durable(try log.put(5, 0, [5]))
        let failure = #expect(throws: Failure.self) { try log.maintain() }
        #expect(failure?.kind == .damaged)
        try log.maintain()
        try log.close()
        // The segment that was cut is still the volume's: it is dropped when it holds nothing more.
        #expect(try blobs(storage).isSuperset(of: before.subtracting([second.blob])))
        #expect(throws: Failure.self) { try open(storage) }
        let accepted = try open(storage, acceptsRollback: true)
        #expect(try accepted.all() == [0: [1], 5: [5]])
        try accepted.durable(try accepted.put(6, 0, [6]))
        try accepted.maintain()
        try accepted.close()
        #expect(try open(storage).all().count == 3)
    }

    /// What a crash leaves proves nothing: a segment that was begun knows of no later commit than what is recovered.
    @Test func aTornEndIsNone() throws {
        let storage = CrashStorage()
        let log = try createLog(storage, options: Self.options)
        for key in 0..<8 as Range<UInt64> {
            _ = try log.writeChunk([UInt8](repeating: 1, count: 24_000))
            try log.durable(try log.put(key, 0, [1]))
        }
        try storage.forEachPowerCut(from: 12, seeds: 0..<3) { point, seed, left in
            let again = try openLog(CrashStorage(left), options: Self.options)
            try again.durable(try again.put(99, 0, [1]))
            try again.maintain()
        }
    }

    @Test func openingIsReadBack() {
        let opening = SegmentOpening(
            number: 5, writer: 0, session: BlobID(high: 3, low: 4), headerDigest: .zero, previousGeneration: 17, previousDigest: .zero)
        var bytes = ByteWriter(capacityBytes: 128)
        opening.encode(into: &bytes)
        #expect(SegmentOpening(decoding: bytes.readable) == opening)
        #expect(SegmentOpening(decoding: UnsafeRawBufferPointer(rebasing: bytes.readable.dropLast())) == nil)
    }
}
