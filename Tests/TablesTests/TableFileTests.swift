import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Tables

struct TableFileTests {
    /// A table of a few blocks and what is in it.
    private func makeTable(
        _ storage: TestStorage, count: Int = 60, options: TableOptions = smallOptions(), suite: CipherSuite = .aes256Gcm
    ) throws -> (TableInfo, [Entry]) {
        var entries: [Entry] = []
        for number in 0..<count {
            let key = OwnedRecordKey(
                kind: 2, first: UInt64(number / 20), second: UInt64(number % 20) << 50, name: Array("name\(number)".utf8))
            entries.append(Entry(key: key, value: Array("value \(number) value".utf8)))
        }
        let writer = try TableWriter(
            id: BlobID(high: 1, low: 2), storage: storage, keys: testKeys(suite), options: options,
            scratch: TableWriterScratch(options: options))
        for entry in entries {
            try entry.key.withKey { key in try entry.value.withUnsafeBytes { try writer.add(key, $0) } }
        }
        return (try writer.finish(level: 1, sequence: 0), entries)
    }

    private func makeTree(_ storage: TestStorage, _ info: TableInfo, _ suite: CipherSuite = .aes256Gcm) throws -> TableTree {
        let tree = TableTree(
            storage: storage, keys: testKeys(suite), cache: BlockCache(capacityBytes: 1 << 20), options: smallOptions(),
            makeID: makeIDs())
        try tree.load(manifest: [info])
        return tree
    }

    @Test(arguments: [CipherSuite.aes256Gcm, .chaCha20Poly1305], [Int32(0), 1, 3])
    func readsBackWhatWasWritten(suite: CipherSuite, compression: Int32) throws {
        let storage = TestStorage()
        var options = smallOptions()
        options.compressionLevel = compression
        let (info, entries) = try makeTable(storage, options: options, suite: suite)
        #expect(info.recordCount == 60 && info.deletionCount == 0)
        #expect(info.smallest == entries[0].key && info.largest == entries[59].key)
        let tree = try makeTree(storage, info, suite)
        #expect(try tree.everything() == entries)
        for entry in entries {
            #expect(try tree.get(entry.key) == entry.value)
            var absent = entry.key
            absent.name.append(0)
            #expect(try tree.get(absent) == nil)
            absent.name = []
            #expect(try tree.get(absent) == nil)
            absent.second += 1
            #expect(try tree.get(absent) == nil)
        }
        #expect(tree.verify(deep: true) { Issue.record("\($0)") }.damagedCount == 0)
        let blob = try #require(storage.blobs.withLock { $0[info.id] })
        #expect(blob.syncCount.load(ordering: .relaxed) == 1)
    }

    /// Whatever is changed: each answer is right or says `.damaged`, and a deep check notices.
    @Test func everyFlippedByteIsNoticed() throws {
        let storage = TestStorage()
        let (info, entries) = try makeTable(storage)
        let blob = try #require(storage.blobs.withLock { $0[info.id] })
        let original = blob.content.withLock { $0 }
        for offset in original.indices {
            blob.content.withLock { $0[offset] ^= 1 << UInt8(offset % 8) }
            defer { blob.content.withLock { $0 = original } }
            let damaged = try answers(storage, info, entries)
            #expect(damaged > 0, "the change at \(offset) changed no answer and was not noticed")
            var failures: [Failure] = []
            let verification = try makeTree(storage, info).verify(deep: true) { failures.append($0) }
            #expect(verification.damagedCount == 1)
            #expect(failures.map(\.kind) == [.damaged])
            #expect(failures.first?.object?.contains(info.id.description) == true)
        }
    }

    @Test func everyTruncationIsNoticed() throws {
        let storage = TestStorage()
        let (info, _) = try makeTable(storage)
        let blob = try #require(storage.blobs.withLock { $0[info.id] })
        let original = blob.content.withLock { $0 }
        for size in 0...original.count + 1 where size != original.count {
            blob.content.withLock { $0 = Array((original + [0]).prefix(size)) }
            let tree = try makeTree(storage, info)
            #expect(throws: Failure.self) { try tree.get(info.smallest) }
            #expect(throws: Failure.self) { try tree.everything() }
            var kinds: [FailureKind] = []
            let verification = tree.verify(deep: false) { kinds.append($0.kind) }
            #expect(verification.damagedCount == 1 && kinds == [.damaged])
            // Also with a manifest that was told of the wrong size.
            var lying = info
            lying.sizeBytes = UInt64(size)
            #expect(throws: Failure.self) { try makeTree(storage, lying).get(info.smallest) }
        }
    }

    /// How many questions were answered with `.damaged`; all others must be answered right.
    private func answers(_ storage: TestStorage, _ info: TableInfo, _ entries: [Entry]) throws -> Int {
        let tree = try makeTree(storage, info)
        var damaged = 0
        for entry in entries {
            do {
                let value = try tree.get(entry.key)
                #expect(value == entry.value)
            } catch {
                #expect(error.kind == .damaged)
                damaged += 1
            }
        }
        do {
            let found = try tree.everything()
            #expect(found == entries)
        } catch {
            #expect(error.kind == .damaged)
            damaged += 1
        }
        return damaged
    }

    @Test func aMissingFileIsDamage() throws {
        let storage = TestStorage()
        let (info, entries) = try makeTable(storage)
        try storage.deleteBlob(info.id)
        let tree = try makeTree(storage, info)
        do {
            _ = try tree.get(entries[0].key)
            Issue.record("answered")
        } catch {
            #expect(error.kind == .damaged)
        }
    }

    /// A table under another's name, or a block moved within it, does not open.
    @Test func swappedBlobsAndBlocksAreNoticed() throws {
        let storage = TestStorage()
        let (info, _) = try makeTable(storage)
        let blob = try #require(storage.blobs.withLock { $0[info.id] })
        let other = BlobID(high: 9, low: 9)
        storage.blobs.withLock { $0[other] = blob }
        var renamed = info
        renamed.id = other
        #expect(throws: Failure.self) { try makeTree(storage, renamed).get(info.smallest) }
        let original = blob.content.withLock { $0 }
        for size in [16, 100, 200] {
            blob.content.withLock { content in
                for index in 0..<size { content.swapAt(index, index + size) }
            }
            #expect(throws: Failure.self) { try makeTree(storage, info).everything() }
            blob.content.withLock { $0 = original }
        }
    }

    @Test func aWrongManifestIsNoticed() throws {
        let storage = TestStorage()
        let (info, entries) = try makeTable(storage)
        var wrong = info
        wrong.recordCount += 1
        #expect(throws: Failure.self) { try makeTree(storage, wrong).get(entries[0].key) }
        wrong = info
        wrong.deletionCount += 1
        #expect(throws: Failure.self) { try makeTree(storage, wrong).get(entries[0].key) }
        wrong = info
        wrong.largest.second += 1
        #expect(try makeTree(storage, wrong).verify(deep: true) { _ in }.damagedCount == 1)
        wrong = info
        wrong.smallest.name = []
        #expect(try makeTree(storage, wrong).verify(deep: true) { _ in }.damagedCount == 1)
        // Overlapping tables of one level.
        let tree = TablesTests.makeTree(storage)
        #expect(throws: Failure.self) { try tree.load(manifest: [info, info]) }
    }

    @Test func largeValuesAndNames() throws {
        let storage = TestStorage()
        let tree = TablesTests.makeTree(storage, TableOptions())
        var random = SeededGenerator(seed: 3)
        var entries: [Entry] = []
        for (number, size) in [0, 1, 16 << 10, 65_536, 300_000, TableLimit.valueSizeBytes, 5].enumerated() {
            let key = OwnedRecordKey(kind: 5, first: 1, second: UInt64(number), name: random.bytes(number % 2 == 0 ? 255 : 0))
            entries.append(Entry(key: key, value: random.bytes(size)))
            tree.put(key, entries[number].value)
        }
        try tree.freezeAndFlush()
        try tree.compactFully()
        #expect(try tree.everything() == entries)
        for entry in entries { #expect(try tree.get(entry.key) == entry.value) }
        #expect(tree.verify(deep: true) { Issue.record("\($0)") }.damagedCount == 0)
    }
}
