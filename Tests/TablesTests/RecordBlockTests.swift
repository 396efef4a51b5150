import BlobStorage
import Records
import Syscalls
import Testing

@testable import Tables

struct RecordBlockTests {
    private func build(_ entries: [(OwnedRecordKey, [UInt8]?)], interval: Int) -> [UInt8] {
        var builder = RecordBlockBuilder(restartInterval: interval, capacityBytes: 64)
        for (key, value) in entries {
            key.withKey { key in
                if let value { value.withBytes { builder.add(key, $0) } } else { builder.add(key, nil) }
            }
        }
        let size = builder.sizeBytes
        let block = Array(builder.finish())
        #expect(block.count == size)
        return block
    }

    private func open(_ bytes: [UInt8]) throws(Malformed) -> RecordBlock {
        try RecordBlock(sizeBytes: bytes.count) { target in
            bytes.withBytes { target.copyMemory(from: $0) }
            return true
        }
    }

    private func entries(_ random: inout SeededGenerator, _ count: Int) -> [(OwnedRecordKey, [UInt8]?)] {
        Set((0..<count).map { _ in randomKey(&random) }).sorted()
            .map { ($0, random.below(5) == 0 ? nil : random.bytes(random.below(200))) }
    }

    @Test(arguments: [1, 2, 4, 16], 1...10 as ClosedRange<UInt64>)
    func readsBackAndSeeks(interval: Int, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var all = entries(&random, 1 + random.below(80))
        // Blocks of one kind, and of one kind and first number, are searched in another way.
        if seed % 3 == 1 { all = all.filter { $0.0.kind == all[0].0.kind } }
        if seed % 3 == 2 { all = all.filter { $0.0.kind == 2 && $0.0.first == 1 } }
        let block = try open(build(all, interval: interval))
        var cursor = BlockCursor(block)
        for (key, value) in all {
            #expect(try cursor.next())
            #expect(OwnedRecordKey(cursor.key) == key && cursor.isDeletion == (value == nil))
            #expect(Array(cursor.value) == value ?? [])
        }
        #expect(try !cursor.next())
        for _ in 0..<200 {
            let key = random.below(2) == 0 ? randomKey(&random) : all.randomElement(using: &random)?.0 ?? randomKey(&random)
            let found = try key.withKey { try cursor.seek($0, in: block) }
            #expect((found ? OwnedRecordKey(cursor.key) : nil) == all.first { $0.0 >= key }?.0)
        }
    }

    @Test func extremeNumbers() throws {
        let numbers: [UInt64] = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 31, 1 << 32, 1 << 56, .max - 1, .max]
        var all: [(OwnedRecordKey, [UInt8]?)] = []
        for kind in [0, 1, 255] as [UInt8] {
            for first in numbers { for second in numbers { all.append((OwnedRecordKey(kind: kind, first: first, second: second), [])) } }
        }
        for interval in [1, 3, 16] {
            let block = try open(build(all, interval: interval))
            var cursor = BlockCursor(block)
            for (key, _) in all {
                #expect(try cursor.next() && OwnedRecordKey(cursor.key) == key)
            }
            for (key, _) in all {
                #expect(try key.withKey { try cursor.seek($0, in: block) } && OwnedRecordKey(cursor.key) == key)
            }
        }
    }

    /// Whatever the bytes: an error or some records, never a trap, never a read beyond the block (run it with a sanitizer).
    @Test func nonsenseIsAnErrorOrNonsenseButNoTrap() throws {
        var random = SeededGenerator(seed: 11)
        let genuine = build(entries(&random, 40), interval: 4)
        for _ in 0..<20_000 {
            var bytes = genuine
            switch random.below(4) {
            case 0: bytes = random.bytes(random.below(100))
            case 1: bytes = Array(bytes.prefix(random.below(bytes.count + 1)))
            default: for _ in 0..<1 + random.below(4) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            }
            guard let block = try? open(bytes) else { continue }
            var cursor = BlockCursor(block)
            var count = 0
            while count < 10_000, (try? cursor.next()) == true {
                count += 1
                #expect(cursor.key.name.count + cursor.value.count <= bytes.count)
            }
            for _ in 0..<4 {
                let key = randomKey(&random)
                _ = try? key.withKey { try cursor.seek($0, in: block) }
            }
            _ = try? cursor.place()
        }
    }
}

struct TableInfoTests {
    @Test func everyPrefixOfADescriptionIsRefused() {
        let info = TableInfo(
            id: .init(high: 1, low: 2), sizeBytes: 300, recordCount: 200, deletionCount: 3, level: 2, sequence: 9,
            smallest: OwnedRecordKey(kind: 2, first: 3, name: Array("abc".utf8)), largest: OwnedRecordKey(kind: 2, first: 4))
        var writer = ByteWriter()
        info.encode(into: &writer)
        let bytes = Array(writer.readable)
        bytes.withBytes { bytes in
            var reader = ByteReader(bytes)
            #expect(TableInfo(from: &reader) == info && reader.isAtEnd)
            for count in 0..<bytes.count {
                var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                #expect(TableInfo(from: &reader) == nil)
            }
        }
        for change: (inout TableInfo) -> Void in [
            { $0.level = 16 }, { $0.deletionCount = 201 }, { $0.recordCount = 0 }, { $0.sizeBytes = 1 << 48 },
            { swap(&$0.smallest, &$0.largest) },
        ] {
            var wrong = info
            change(&wrong)
            var writer = ByteWriter()
            wrong.encode(into: &writer)
            var reader = ByteReader(writer.readable)
            #expect(TableInfo(from: &reader) == nil)
        }
    }
}
