import BlobStorage
import Records
import Syscalls

@testable import Log

/// A random history of a volume on storage that remembers it, with a model of what must be there after a power cut at any point.
/// Used by one thread, but for the relocator that its own `maintain` calls.
final class CrashHistory: @unchecked Sendable {
    struct Kinds {
        var zeros = false
        var cleaning = false
    }

    struct Key: Hashable {
        var kind: RecordKind
        var number: UInt64
    }

    typealias Records = [Key: [UInt8]]

    /// A chunk as a record names it, with what tells its content.
    struct Extent {
        var chunk: ChunkLocation
        var pattern: UInt64

        var bytes: [UInt8] {
            var generator = SeededGenerator(seed: pattern)
            var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: pattern), count: Int(chunk.sizeBytes))
            for at in stride(from: 0, to: bytes.count, by: 500) { bytes[at] = UInt8(truncatingIfNeeded: generator.next()) }
            return bytes
        }

        var encoded: [UInt8] {
            var writer = ByteWriter()
            writer.append(chunk.segment)
            writer.append(chunk.frameOffset)
            writer.append(chunk.frame)
            writer.append(chunk.sizeBytes)
            writer.append(pattern)
            return Array(writer.readable)
        }

        init(chunk: ChunkLocation, pattern: UInt64) {
            self.chunk = chunk
            self.pattern = pattern
        }

        init(decoding bytes: [UInt8]) {
            self = bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let chunk = ChunkLocation(
                    segment: reader.readUInt64() ?? 0, frameOffset: reader.readUInt32() ?? 0, frame: reader.readUInt32() ?? 0,
                    sizeBytes: reader.readUInt32() ?? 0, blockSizeLog2: 12)
                return Extent(chunk: chunk, pattern: reader.readUInt64() ?? 0)
            }
        }
    }

    static var options: LogOptions {
        var options = testOptions(segmentSizeBytes: 64 << 10)
        options.memoryTableBytes = 8 << 10
        return options
    }

    let storage = CrashStorage()
    /// Before this the volume was being made.
    private(set) var firstPoint = 0
    private let kinds: Kinds
    private var generator: SeededGenerator
    private var log: VolumeLog!
    private var present: Records = [:]
    /// States of which a commit may have been made; each with the points at which that may have begun and was acknowledged, if it was.
    private var commits: [(state: Records, began: Int, acknowledged: Int)] = []
    private var nextPattern: UInt64 = 1

    init(seed: UInt64, _ kinds: Kinds) {
        self.kinds = kinds
        generator = SeededGenerator(seed: seed)
    }

    /// What a power cut at that point may leave: the last state that was acknowledged, or one whose commit had begun.
    func states(at point: Int) -> [Records] {
        let last = commits.lastIndex { $0.acknowledged <= point } ?? 0
        return commits[last...].prefix { $0.began <= point }.map { $0.state }
    }

    func run(steps: Int) throws(Failure) {
        log = try createLog(storage, options: Self.options)
        firstPoint = storage.operationCount
        commits.append(([:], 0, firstPoint))
        attach()
        for _ in 0..<steps { try step() }
        try commit { () throws(Failure) in try log.close() }
    }

    private func step() throws(Failure) {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<25: try put()
        case 25..<50: try write()
        case 50..<60: try remove()
        case 60..<74: try commit { () throws(Failure) in try log.durable(log.currentToken()) }
        case 74..<80: try commit { () throws(Failure) in try log.checkpoint() }
        case 80..<85:
            try commit { () throws(Failure) in try log.close() }
            log = try openLog(storage, options: Self.options)
            attach()
        case 85..<89:
            try kill()
        default:
            // Something to clean in so small a volume.
            if kinds.cleaning { log.changes.withLock { log.isShortOfRoom = true } }
            if kinds.zeros { try log.tail.zeroFillAhead(32 << 10) }
            try commit { () throws(Failure) in try log.maintain() }
        }
    }

    /// A call that may make commits. `maintain` does not always make one of everything; then the next call does.
    private func commit(_ call: () throws(Failure) -> Void) throws(Failure) {
        let began = storage.operationCount
        commits.append((present, began, .max))
        try call()
        if !log.hasChanges { commits.append((present, storage.operationCount, storage.operationCount)) }
    }

    /// A process that is killed loses what it had not committed; what it wrote the kernel still has.
    private func kill() throws(Failure) {
        log = try openLog(storage, options: Self.options)
        let found = try log.everything()
        precondition(states(at: storage.operationCount).contains(found), "a killed process loses only what it had not committed")
        present = found
        commits.append((present, storage.operationCount, storage.operationCount))
        attach()
    }

    private func put() throws(Failure) {
        let key = UInt64.random(in: 0..<12, using: &generator)
        let value = randomBytes(Int.random(in: 0..<600, using: &generator), &generator)
        _ = try log.put(key, 0, value)
        present[Key(kind: .inode, number: key)] = value
    }

    private func write() throws(Failure) {
        let number = UInt64.random(in: 0..<8, using: &generator)
        let size = Int.random(in: 1..<24_000, using: &generator)
        let batch = RecordBatch()
        forget(number, in: batch)
        let extent = try chunk(size, number)
        name(extent, number, in: batch)
        _ = try log.apply(batch)
    }

    private func chunk(_ size: Int, _ number: UInt64) throws(Failure) -> Extent {
        let location = ChunkLocation(segment: 0, frameOffset: 0, frame: 0, sizeBytes: UInt32(size), blockSizeLog2: 12)
        var extent = Extent(chunk: location, pattern: nextPattern)
        nextPattern += 1
        extent.chunk = try log.writeChunk(extent.bytes, inode: number)
        return extent
    }

    private func name(_ extent: Extent, _ number: UInt64, in batch: RecordBatch) {
        let value = extent.encoded
        value.withUnsafeBytes { batch.put(RecordKey(.extent, number), $0) }
        batch.liveBytes(segment: extent.chunk.segment, delta: Int64(extent.chunk.sizeBytes))
        present[Key(kind: .extent, number: number)] = value
    }

    private func remove() throws(Failure) {
        let number = UInt64.random(in: 0..<8, using: &generator)
        let batch = RecordBatch()
        forget(number, in: batch)
        batch.delete(RecordKey(.extent, number))
        present[Key(kind: .extent, number: number)] = nil
        _ = try log.apply(batch)
    }

    private func forget(_ number: UInt64, in batch: RecordBatch) {
        guard let old = present[Key(kind: .extent, number: number)].map({ Extent(decoding: $0) }) else { return }
        batch.liveBytes(segment: old.chunk.segment, delta: -Int64(old.chunk.sizeBytes))
    }

    // MARK: Cleaning

    private func attach() {
        guard kinds.cleaning else { return }
        log.setRelocator { [unowned self] (chunk, inode, _) throws(Failure) in try move(chunk, inode) }
    }

    private func move(_ chunk: ChunkLocation, _ inode: UInt64) throws(Failure) -> Int {
        guard let old = present[Key(kind: .extent, number: inode)].map({ Extent(decoding: $0) }), old.chunk == chunk else { return 0 }
        var moved = old
        moved.chunk = try log.writeChunk(try log.readChunk(chunk), inode: inode)
        let batch = RecordBatch()
        forget(inode, in: batch)
        name(moved, inode, in: batch)
        _ = try log.apply(batch)
        commits.append((present, storage.operationCount, .max))
        return Int(chunk.sizeBytes)
    }
}
