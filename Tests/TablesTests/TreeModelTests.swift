import BlobStorage
import Records
import Synchronization
import Syscalls
import Testing

@testable import Tables

/// The tree against a dictionary: random changes, reads, freezes, flushes, compactions and reopenings.
struct TreeModelTests {
    private struct Run {
        var random: SeededGenerator
        var model: [OwnedRecordKey: [UInt8]] = [:]
        /// What was set since the last capture.
        var changed: Set<OwnedRecordKey> = []
        let storage = TestStorage()
        var tree: TableTree
        /// Captures since the last flush of everything: a log.
        var log: [[OwnedRecordKey: [UInt8]?]] = []
        let options: TableOptions

        init(seed: UInt64) {
            random = SeededGenerator(seed: seed)
            var options = smallOptions()
            options.compressionLevel = seed % 3 == 0 ? 0 : 1
            self.options = options
            tree = makeTree(storage, options, seed: seed << 32)
        }

        mutating func change() {
            let batch = RecordBatch()
            for _ in 0..<1 + random.below(30) {
                let key = randomKey(&random)
                changed.insert(key)
                if random.below(3) == 0 {
                    model[key] = nil
                    key.withKey { batch.delete($0) }
                } else {
                    let value =
                        random.below(50) == 0 ? random.bytes(1000) : Array(repeating: UInt8(random.below(256)), count: random.below(40))
                    model[key] = value
                    batch.put(key, value)
                }
            }
            batch.liveBytes(segment: 3, delta: -5)
            tree.apply(batch)
        }

        mutating func capture() {
            let captured = tree.captured()
            #expect(Set(captured.keys) == changed)
            for (key, value) in captured { #expect(value == model[key]) }
            changed = []
            log.append(captured)
            #expect(!tree.hasChanges)
        }

        func check() throws {
            let sorted = model.sorted { $0.key < $1.key }.map { Entry(key: $0.key, value: $0.value) }
            #expect(try tree.everything() == sorted)
            #expect(tree._checkInvariants() == [])
        }

        mutating func probe() throws {
            for _ in 0..<20 {
                let key = randomKey(&random)
                #expect(try tree.get(key) == model[key])
            }
            let ends = [randomKey(&random), randomKey(&random)].sorted()
            let limit = 1 + random.below(20)
            let expected = model.filter { $0.key >= ends[0] && $0.key < ends[1] }.sorted { $0.key < $1.key }.prefix(limit)
            #expect(try tree.scanned(from: ends[0], to: ends[1], limit: limit) == expected.map { Entry(key: $0.key, value: $0.value) })
            // One inode's or directory's records: the filter may be asked.
            let one = randomKey(&random)
            var upper = OwnedRecordKey(kind: one.kind, first: one.first, second: .max)
            if one.first < .max, random.below(2) == 0 { upper = OwnedRecordKey(kind: one.kind, first: one.first + 1) }
            let lower = random.below(2) == 0 ? one : OwnedRecordKey(kind: one.kind, first: one.first)
            let within = model.filter { $0.key >= lower && $0.key < upper }.sorted { $0.key < $1.key }
            #expect(try tree.scanned(from: lower, to: upper) == within.map { Entry(key: $0.key, value: $0.value) })
        }

        /// As a crash would: a new tree from the manifest, and what was captured since.
        mutating func reopen() throws {
            capture()
            let tables = tree.tables
            let decoded = encodeAndDecode(tables)
            tree = makeTree(storage, options, seed: random.next())
            try tree.load(manifest: decoded)
            for entries in log {
                let batch = RecordBatch()
                for (key, value) in entries {
                    if let value { batch.put(key, value) } else { key.withKey { batch.delete($0) } }
                }
                try tree.apply(flat: batch.bytes.readable)
            }
            tree.discardChanges()
        }

        func encodeAndDecode(_ tables: [TableInfo]) -> [TableInfo] {
            var writer = ByteWriter()
            for table in tables { table.encode(into: &writer) }
            var reader = ByteReader(writer.readable)
            var decoded: [TableInfo] = []
            while !reader.isAtEnd { if let info = TableInfo(from: &reader) { decoded.append(info) } else { break } }
            #expect(decoded == tables)
            return decoded
        }

        mutating func step() throws {
            switch random.below(20) {
            case 0...9: change()
            case 10...12: try probe()
            case 13: capture()
            case 14, 15:
                capture()
                tree.freeze()
                if random.below(2) == 0 {
                    try tree.flushFrozen()
                    log = []
                }
            case 16, 17: try tree.compactIfNeeded(thorough: random.below(4) == 0)
            case 18:
                for info in tree.takeObsolete() { try storage.deleteBlob(info.id) }
                if random.below(30) == 0 { try tree.compactFully() }
            default: if random.below(4) == 0 { try reopen() }
            }
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func randomOperations(seed: UInt64) throws {
        var run = Run(seed: seed)
        for step in 0..<500 {
            try run.step()
            if step % 40 == 0 { try run.check() }
        }
        try run.check()
        var failures: [Failure] = []
        let verification = run.tree.verify(deep: true) { failures.append($0) }
        #expect(failures.map(\.description) == [])
        #expect(verification.damagedCount == 0)
        // Nothing is left over: what is there is in the manifest, or was replaced.
        run.capture()
        try run.tree.freezeAndFlush()
        while try run.tree.compactIfNeeded(thorough: true) {}
        for info in run.tree.takeObsolete() { try run.storage.deleteBlob(info.id) }
        #expect(Set(run.tree.tables.map(\.id)).isSubset(of: Set(run.storage.blobs.withLock { $0.keys })))
        try run.check()
    }

    @Test func deletingEverythingLeavesNothing() throws {
        let storage = TestStorage()
        let tree = makeTree(storage)
        var random = SeededGenerator(seed: 5)
        var keys: Set<OwnedRecordKey> = []
        for _ in 0..<20 {
            for _ in 0..<200 {
                let key = randomKey(&random)
                keys.insert(key)
                tree.put(key, random.bytes(30))
            }
            try tree.freezeAndFlush()
            while try tree.compactIfNeeded() {}
        }
        #expect(tree.tables.contains { $0.level >= 2 })
        for key in keys { tree.delete(key) }
        try tree.freezeAndFlush()
        while try tree.compactIfNeeded(thorough: true) {}
        #expect(tree.tables == [])
        for info in tree.takeObsolete() { try storage.deleteBlob(info.id) }
        #expect(storage.blobs.withLock { $0.isEmpty })
        #expect(try tree.everything() == [])
    }
}
