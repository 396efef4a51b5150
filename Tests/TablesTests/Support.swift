import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Tables

/// Blobs in memory, whose bytes a test can change.
final class TestStorage: BlobStorage {
    let blobs = Mutex<[BlobID: TestBlob]>([:])
    /// Writes that succeed before all others fail; nil: all succeed.
    let writesLeft = Mutex<Int?>(nil)
    let syncedNames = Mutex<Set<BlobID>>([])

    func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let blob = TestBlob(self)
        let isNew = blobs.withLock { blobs in
            if blobs[id] != nil { return false }
            blobs[id] = blob
            return true
        }
        if !isNew { throw Failure(.alreadyExists, "it is there") }
        return blob
    }

    func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        guard let blob = blobs.withLock({ $0[id] }) else { throw Failure(.missing, "no such blob") }
        return blob
    }

    func deleteBlob(_ id: BlobID) throws(Failure) {
        if blobs.withLock({ $0.removeValue(forKey: id) }) == nil { throw Failure(.missing, "no such blob") }
    }

    func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) { throw Failure(.readOnly, "not here") }
    func syncBlob(_ id: BlobID) throws(Failure) { _ = try openBlob(id) }

    func syncNames(of ids: [BlobID]) throws(Failure) { syncedNames.withLock { $0.formUnion(ids) } }

    func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for id in blobs.withLock({ Array($0.keys) }) { try visit(id) }
    }

    func readSmallFile(_ name: String, limitBytes: Int) throws(Failure) -> [UInt8]? { nil }
    func replaceSmallFile(_ name: String, with bytes: [UInt8]) throws(Failure) { throw Failure(.readOnly, "not here") }
    func openSmallFile(_ name: String) throws(Failure) -> any WritableBlob { throw Failure(.readOnly, "not here") }
    func deleteSmallFile(_ name: String) throws(Failure) { throw Failure(.readOnly, "not here") }
    func capacity() throws(Failure) -> StorageCapacity { StorageCapacity(totalBytes: 1 << 40, availableBytes: 1 << 40) }
    var name: String { "test" }
    var isReadOnly: Bool { false }
}

final class TestBlob: WritableBlob {
    let content = Mutex<[UInt8]>([])
    let syncCount = Atomic<Int>(0)
    private let storage: TestStorage

    init(_ storage: TestStorage) { self.storage = storage }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        content.withLock { content in
            guard offset < content.count else { return 0 }
            let count = min(buffer.count, content.count - Int(offset))
            content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count])) }
            return count
        }
    }

    func sizeBytes() throws(Failure) -> UInt64 { UInt64(content.withLock { $0.count }) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        let isAllowed = storage.writesLeft.withLock { left in
            guard let some = left else { return true }
            left = max(some - 1, 0)
            return some > 0
        }
        if !isAllowed { throw Failure(.noSpace, "no room") }
        content.withLock { content in
            let end = Int(offset) + bytes.count
            if content.count < end { content += [UInt8](repeating: 0, count: end - content.count) }
            content.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[Int(offset)..<end]).copyMemory(from: bytes) }
        }
    }

    func sync() throws(Failure) { syncCount.wrappingAdd(1, ordering: .relaxed) }
    func truncate(to sizeBytes: UInt64) throws(Failure) {}
    func allocate(_ range: Range<UInt64>) throws(Failure) {}
    func zeroFill(_ range: Range<UInt64>) throws(Failure) {}
}

struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return KeyHash.mix(state)
    }
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

/// Random names from a counter: a test that runs twice makes the same ones.
func makeIDs(seed: UInt64 = 1) -> @Sendable () -> BlobID {
    let state = Atomic2(seed)
    return {
        let number = state.value.wrappingAdd(1, ordering: .relaxed).newValue
        return BlobID(high: KeyHash.mix(number), low: KeyHash.mix(~number))
    }
}

final class Atomic2: Sendable {
    let value: Atomic<UInt64>
    init(_ start: UInt64) { value = Atomic(start) }
}

func testKeys(_ suite: CipherSuite = .aes256Gcm) -> KeyHierarchy {
    let key = SecretBytes(count: 32) { for index in 0..<32 { $0[index] = UInt8(index) } }
    return KeyHierarchy(suite: suite, volumeID: Array(repeating: 7, count: 16), volumeKey: key)
}

/// Small sizes, so that little data makes many blocks, tables and levels.
func smallOptions() -> TableOptions {
    var options = TableOptions()
    options.blockSizeBytes = 300
    options.tableSizeBytes = 2000
    options.levelBaseSizeBytes = 6000
    options.levelRatio = 3
    options.openTableLimit = 4
    options.restartInterval = 4
    return options
}

func makeTree(
    _ storage: TestStorage, _ options: TableOptions = smallOptions(), cacheBytes: Int = 64 << 10, seed: UInt64 = 1
) -> TableTree {
    TableTree(
        storage: storage, keys: testKeys(), cache: BlockCache(capacityBytes: cacheBytes), options: options, makeID: makeIDs(seed: seed))
}

extension TableTree {
    func get(_ key: OwnedRecordKey) throws(Failure) -> [UInt8]? {
        var found: [UInt8]?
        let isThere = try key.withKey { (key) throws(Failure) in try get(key) { found = Array($0) } }
        #expect(isThere == (found != nil))
        return found
    }

    func scanned(from lower: OwnedRecordKey, to upper: OwnedRecordKey, limit: Int = .max) throws(Failure) -> [Entry] {
        var result: [Entry] = []
        try lower.withKey { (lower) throws(Failure) in
            try upper.withKey { (upper) throws(Failure) in
                try scan(from: lower, to: upper) { key, value in
                    result.append(Entry(key: OwnedRecordKey(key), value: Array(value)))
                    return result.count < limit
                }
            }
        }
        return result
    }

    func everything() throws(Failure) -> [Entry] {
        try scanned(from: OwnedRecordKey(kind: 0, first: 0), to: OwnedRecordKey(kind: 255, first: .max, second: .max))
    }

    func put(_ key: OwnedRecordKey, _ value: [UInt8]) {
        let batch = RecordBatch()
        batch.put(key, value)
        apply(batch)
    }

    func delete(_ key: OwnedRecordKey) {
        let batch = RecordBatch()
        key.withKey { batch.delete($0) }
        apply(batch)
    }

    /// What was set, decoded: nil is a deletion.
    func captured() -> [OwnedRecordKey: [UInt8]?] {
        var writer = ByteWriter()
        capture(into: &writer)
        return decodeFlat(writer.readable)
    }

    func freezeAndFlush() throws(Failure) {
        discardChanges()
        freeze()
        try flushFrozen()
    }
}

extension RecordBatch {
    func put(_ key: OwnedRecordKey, _ value: [UInt8]) { key.withKey { key in value.withUnsafeBytes { put(key, $0) } } }
}

func decodeFlat(_ bytes: UnsafeRawBufferPointer) -> [OwnedRecordKey: [UInt8]?] {
    var result: [OwnedRecordKey: [UInt8]?] = [:]
    let isWhole = BatchDecoder.decode(bytes) { operation in
        switch operation {
        case .put(let key, let value):
            #expect(result[OwnedRecordKey(key)] == nil)
            result[OwnedRecordKey(key)] = .some(Array(value))
        case .delete(let key):
            #expect(result[OwnedRecordKey(key)] == nil)
            result[OwnedRecordKey(key)] = .some(nil)
        case .liveBytes: Issue.record("no live bytes in a capture")
        }
    }
    #expect(isWhole)
    return result
}

struct Entry: Equatable {
    var key: OwnedRecordKey
    var value: [UInt8]
}

/// Keys of the shapes that a file system has, from a small space, so that they meet again.
func randomKey(_ random: inout SeededGenerator) -> OwnedRecordKey {
    switch random.below(12) {
    case 0...2: OwnedRecordKey(kind: 1, first: UInt64(random.below(60)))
    case 3...5:
        OwnedRecordKey(
            kind: 2, first: UInt64(random.below(4)), second: KeyHash.mix(UInt64(random.below(40))),
            name: Array("file\(random.below(3))".utf8))
    case 6...8: OwnedRecordKey(kind: 3, first: UInt64(random.below(8)), second: UInt64(random.below(20)) * 4096)
    case 9: OwnedRecordKey(kind: 5, first: UInt64(random.below(8)), name: Array("user.\(random.below(5))".utf8))
    case 10: OwnedRecordKey(kind: 4, first: .max - UInt64(random.below(3)), second: .max - UInt64(random.below(2)))
    default: OwnedRecordKey(kind: 11, first: 0, second: UInt64(random.below(3)), name: Array(repeating: 255, count: random.below(256)))
    }
}

extension TableTree {
    /// Frozen memory tables that wait to be written.
    var frozenCount: Int { currentVersion().frozen.count }

    /// Merges each region into one level, without a deletion left in it.
    func compactFully() throws(Failure) {
        try compacting.withLock { (_) throws(Failure) -> Void in
            for region in 0..<KeyRegion.count {
                let version = currentVersion()
                let inputs = version.runs.compactMap { $0.part(of: region) }
                guard inputs.count > 1 || inputs.contains(where: { $0.tables.contains { $0.info.deletionCount > 0 } }) else { continue }
                let level = max(inputs.map(\.level).max() ?? 1, 1)
                _ = try perform(Compaction(inputs: inputs, outputLevel: level, isMove: false), version)
            }
        }
    }
}
