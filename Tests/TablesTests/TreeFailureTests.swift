import BlobStorage
import Records
import Synchronization
import Syscalls
import Testing

@testable import Tables

/// Failing storage, limits, and readers beside everything else.
struct TreeFailureTests {
    private func fill(_ tree: TableTree, _ random: inout SeededGenerator, _ model: inout [OwnedRecordKey: [UInt8]], _ count: Int = 150) {
        for _ in 0..<count {
            let key = randomKey(&random)
            let value = random.bytes(random.below(40))
            model[key] = value
            tree.put(key, value)
        }
    }

    private func check(_ tree: TableTree, _ model: [OwnedRecordKey: [UInt8]]) throws {
        #expect(try tree.everything() == model.sorted { $0.key < $1.key }.map { Entry(key: $0.key, value: $0.value) })
        #expect(tree._checkInvariants() == [])
    }

    /// Wherever the storage stops taking writes: nothing changes, nothing is left behind, and the next try succeeds.
    @Test func failedFlushesAndCompactionsChangeNothing() throws {
        let storage = TestStorage()
        let tree = makeTree(storage)
        var random = SeededGenerator(seed: 1)
        var model: [OwnedRecordKey: [UInt8]] = [:]
        var failures = 0
        for round in 0..<12 {
            fill(tree, &random, &model)
            tree.discardChanges()
            tree.freeze()
            let before = tree.tables
            storage.writesLeft.withLock { $0 = round % 6 }
            if (try? tree.flushFrozen()) == nil {
                failures += 1
                #expect(tree.tables == before)
                #expect(tree.frozenCount == 1)
                #expect(Set(storage.blobs.withLock { $0.keys }) == Set(tree.tables.map(\.id) + obsolete(tree)))
            }
            try check(tree, model)
            storage.writesLeft.withLock { $0 = nil }
            try tree.flushFrozen()
            #expect(tree.frozenCount == 0)
            storage.writesLeft.withLock { $0 = round % 4 }
            let tables = tree.tables
            do {
                while try tree.compactIfNeeded(thorough: true) {}
            } catch {
                failures += 1
                #expect(error.kind == .noSpace)
                if round % 4 == 0 { #expect(tree.tables == tables) }
            }
            try check(tree, model)
            storage.writesLeft.withLock { $0 = nil }
            while try tree.compactIfNeeded(thorough: true) {}
            try check(tree, model)
        }
        #expect(failures > 6)
        for info in tree.takeObsolete() { try storage.deleteBlob(info.id) }
        #expect(Set(storage.blobs.withLock { $0.keys }) == Set(tree.tables.map(\.id)))
        #expect(Set(tree.tables.map(\.id)).isSubset(of: storage.syncedNames.withLock { $0 }))
    }

    private func obsolete(_ tree: TableTree) -> [BlobID] { tree.editing.withLock { $0.obsolete.map(\.info.id) } }

    @Test func openFilesAndCacheAreBounded() throws {
        let storage = TestStorage()
        let tree = makeTree(storage, cacheBytes: 16 << 10)
        var random = SeededGenerator(seed: 2)
        var model: [OwnedRecordKey: [UInt8]] = [:]
        for _ in 0..<10 {
            fill(tree, &random, &model)
            try tree.freezeAndFlush()
        }
        #expect(tree.tables.count > 10)
        for (key, value) in model {
            #expect(try tree.get(key) == value)
            #expect(tree.openTableCount <= tree.options.openTableLimit)
        }
        #expect(tree.environment.cache.statistics.sizeBytes <= 16 << 10)
        try check(tree, model)
    }

    /// A table that a scan reads is not handed out for deletion before the scan is over.
    @Test func tablesThatAreReadAreNotObsolete() throws {
        let storage = TestStorage()
        let tree = makeTree(storage)
        var random = SeededGenerator(seed: 3)
        var model: [OwnedRecordKey: [UInt8]] = [:]
        for _ in 0..<3 {
            fill(tree, &random, &model)
            try tree.freezeAndFlush()
        }
        let before = Set(tree.tables.map(\.id))
        var seen = 0
        var during = 0
        let lower = RecordKey(kind: 0, first: 0)
        try tree.scan(from: lower, to: RecordKey(kind: 255, first: 0)) { _, _ in
            seen += 1
            if seen == 3 {
                do { try tree.compactFully() } catch { Issue.record("\(error)") }
                during = tree.takeObsolete().count
            }
            return true
        }
        #expect(seen == model.count)
        #expect(during == 0)
        let after = Set(tree.takeObsolete().map(\.id))
        #expect(!after.isEmpty && after.isSubset(of: before))
        #expect(tree.takeObsolete().isEmpty)
    }

    @Test func stoppedCompactionsChangeNothing() throws {
        let storage = TestStorage()
        let tree = makeTree(storage)
        var random = SeededGenerator(seed: 4)
        var model: [OwnedRecordKey: [UInt8]] = [:]
        for _ in 0..<6 {
            fill(tree, &random, &model)
            try tree.freezeAndFlush()
        }
        let tables = tree.tables
        tree.stopCompacting()
        #expect(try !tree.compactIfNeeded())
        #expect(tree.tables == tables)
        #expect(Set(storage.blobs.withLock { $0.keys }) == Set(tables.map(\.id)))
        try check(tree, model)
    }

    /// Deletions of what no table holds are not written.
    @Test func deletionsThatHideNothingAreDropped() throws {
        let storage = TestStorage()
        let tree = makeTree(storage)
        for number in 0..<100 {
            tree.put(OwnedRecordKey(kind: 1, first: UInt64(number)), [1])
            tree.delete(OwnedRecordKey(kind: 1, first: UInt64(number)))
        }
        try tree.freezeAndFlush()
        #expect(tree.tables.isEmpty)
        #expect(storage.blobs.withLock { $0.isEmpty })
        #expect(tree.freeze() == nil)
    }

    @Test func aFlatFormThatIsNoneIsRefused() throws {
        let tree = makeTree(TestStorage())
        let batch = RecordBatch()
        batch.put(OwnedRecordKey(kind: 1, first: 1), [1, 2, 3])
        let bytes = Array(batch.bytes.readable)
        for count in 1..<bytes.count {
            #expect(throws: Failure.self) {
                try Array(bytes.prefix(count)).withBytes { (bytes) throws(Failure) in try tree.apply(flat: bytes) }
            }
        }
        let large = RecordBatch()
        large.put(OwnedRecordKey(kind: 1, first: 1), Array(repeating: 0, count: TableLimit.valueSizeBytes + 1))
        #expect(throws: Failure.self) { try tree.apply(flat: large.bytes.readable) }
        try bytes.withBytes { (bytes) throws(Failure) in try tree.apply(flat: bytes) }
        #expect(try tree.get(OwnedRecordKey(kind: 1, first: 1)) == [1, 2, 3])
    }

    /// Readers, a mutator, flushes and compactions at once. Each counter only grows, and readers must never see it shrink or
    /// vanish, wherever its record is at the moment.
    @Test func readersBesideEverything() throws {
        let storage = TestStorage()
        let counters = Counters(makeTree(storage, cacheBytes: 32 << 10))
        let tree = counters.tree
        for key in counters.keys { tree.put(key, Counters.value(1)) }
        var threads = (0..<2).map { reader in TestThread { counters.read(seed: UInt64(reader)) } }
        threads.append(TestThread { counters.maintain(storage) })
        var random = SeededGenerator(seed: 77)
        for round in 2...400 as ClosedRange<UInt64> {
            for _ in 0..<20 { tree.put(counters.keys[random.below(counters.keys.count)], Counters.value(round)) }
            if round % 5 == 0, tree.frozenCount < 4 {
                tree.discardChanges()
                tree.freeze()
            }
        }
        counters.isOver.store(true, ordering: .releasing)
        for thread in threads { thread.join() }
        #expect(counters.wrong.load(ordering: .relaxed) == 0)
        #expect(tree._checkInvariants() == [])
        #expect(tree.verify(deep: true) { Issue.record("\($0)") }.damagedCount == 0)
    }
}

/// Records that hold growing numbers, and what threads do with them.
private final class Counters: Sendable {
    let tree: TableTree
    let keys: [OwnedRecordKey]
    let isOver = Atomic<Bool>(false)
    let wrong = Atomic<Int>(0)

    init(_ tree: TableTree) {
        self.tree = tree
        keys = (0..<120).map { (number: Int) -> OwnedRecordKey in
            OwnedRecordKey(kind: UInt8(1 + number % 5), first: UInt64(number % 4), second: UInt64(number))
        }
    }

    static func value(_ number: UInt64) -> [UInt8] {
        let rest = [UInt8](repeating: UInt8(number & 255), count: 20)
        return withUnsafeBytes(of: number) { Array($0) } + rest
    }

    func read(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var seen = [UInt64](repeating: 0, count: keys.count)
        while !isOver.load(ordering: .acquiring) {
            let index = random.below(keys.count)
            let found = number(of: keys[index]) ?? 0
            if found == 0 || found < seen[index] { wrong.wrappingAdd(1, ordering: .relaxed) }
            seen[index] = found
            var count = 0
            try? tree.scan(from: RecordKey(kind: 0, first: 0), to: RecordKey(kind: 9, first: 0)) { _, _ in
                count += 1
                return true
            }
            if count != keys.count { wrong.wrappingAdd(1, ordering: .relaxed) }
        }
    }

    /// Nil if it is not there, or not whole.
    private func number(of key: OwnedRecordKey) -> UInt64? {
        var found: UInt64?
        _ = try? key.withKey { (key) throws(Failure) in
            try tree.get(key) { bytes in
                let number = bytes.loadUnaligned(as: UInt64.self)
                if bytes.count == 28, bytes[27] == UInt8(number & 255) { found = number }
            }
        }
        return found
    }

    func maintain(_ storage: TestStorage) {
        do {
            while !isOver.load(ordering: .acquiring) {
                try tree.flushFrozen()
                try tree.compactIfNeeded(thorough: true)
                for info in tree.takeObsolete() { try storage.deleteBlob(info.id) }
            }
        } catch {
            wrong.wrappingAdd(1, ordering: .relaxed)
        }
    }
}
