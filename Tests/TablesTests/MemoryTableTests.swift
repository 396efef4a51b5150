import Glibc
import Records
import Synchronization
import Testing

@testable import Tables

struct MemoryTableTests {
    private func put(_ table: MemoryTable, _ key: OwnedRecordKey, _ value: [UInt8]) {
        key.withKey { key in value.withUnsafeBytes { table.put(key, $0) } }
    }

    private func lookup(_ table: MemoryTable, _ key: OwnedRecordKey) -> [UInt8]?? {
        switch key.withKey({ table.lookup($0) }) {
        case .absent: nil
        case .deleted: .some(nil)
        case .value(let value): .some(Array(value))
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func againstADictionary(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let table = MemoryTable()
        var model: [OwnedRecordKey: [UInt8]?] = [:]
        var changed: Set<OwnedRecordKey> = []
        for step in 0..<4000 {
            let key = randomKey(&random)
            switch random.below(10) {
            case 0...4:
                let value = random.bytes(random.below(20))
                put(table, key, value)
                model[key] = .some(value)
                changed.insert(key)
            case 5, 6:
                key.withKey { table.delete($0) }
                model[key] = .some(nil)
                changed.insert(key)
            default: #expect(lookup(table, key) == model[key])
            }
            if step % 500 == 499 {
                var writer = ByteWriter()
                table.capture(into: &writer)
                let captured = decodeFlat(writer.readable)
                #expect(Set(captured.keys) == changed)
                for (key, value) in captured { #expect(model[key] == .some(value)) }
                changed = []
            }
        }
        #expect(table._checkInvariants() == [])
        #expect(table.count == model.count)
        let sorted = model.sorted { $0.key < $1.key }
        var cursor = table.cursor()
        var isAtRecord = cursor.seekToFirst()
        for (key, value) in sorted {
            #expect(isAtRecord && OwnedRecordKey(cursor.key) == key && cursor.value.map(Array.init) == value)
            isAtRecord = cursor.next()
        }
        #expect(!isAtRecord)
        for _ in 0..<500 {
            let key = randomKey(&random)
            let expected = sorted.first { $0.key >= key }?.key
            let found = key.withKey { cursor.seek($0) }
            #expect((found ? OwnedRecordKey(cursor.key) : nil) == expected)
        }
    }

    /// Ascending, descending, interleaved: the places where inserts remember the last one.
    @Test func ordersOfInsertion() {
        let orders: [[Int]] = [Array(0..<2000), (0..<2000).reversed(), (0..<2000).map { $0 * 7919 % 2000 }]
        for order in orders {
            let table = MemoryTable()
            for number in order {
                put(table, OwnedRecordKey(kind: UInt8(1 + number % 3), first: UInt64(number / 3)), [UInt8(truncatingIfNeeded: number)])
                // 17 shares its remembered place with 1.
                put(table, OwnedRecordKey(kind: 17, first: UInt64(number)), [])
            }
            #expect(table.count == 4000)
            #expect(table._checkInvariants() == [])
        }
    }

    @Test func growsItsIndex() {
        let table = MemoryTable()
        for number in 0..<420_000 {
            RecordKey(kind: 1, first: UInt64(number)).put(into: table)
        }
        #expect(table.count == 420_000)
        var missing = 0
        for number in 0..<420_000 {
            if case .value = table.lookup(RecordKey(kind: 1, first: UInt64(number))) { continue }
            missing += 1
        }
        #expect(missing == 0)
        if case .absent = table.lookup(RecordKey(kind: 1, first: 420_000)) {} else { Issue.record("found what is not there") }
    }

    /// Readers beside a mutator see whole values, in order, and everything that was there before they started.
    @Test func readersBesideAMutator() {
        let table = MemoryTable()
        let published = Atomic<Int>(0)
        let wrong = Atomic<Int>(0)
        let total = 30_000
        let readers = (0..<3).map { reader in
            TestThread {
                var random = SeededGenerator(seed: UInt64(reader))
                while published.load(ordering: .acquiring) < total {
                    let known = published.load(ordering: .acquiring)
                    if known == 0 { continue }
                    let number = random.below(known)
                    switch table.lookup(scattered(number)) {
                    case .value(let value):
                        // A value is eight times the same byte, whichever write it is from.
                        if value.count != 8 || Set(value).count != 1 { wrong.wrappingAdd(1, ordering: .relaxed) }
                    default: wrong.wrappingAdd(1, ordering: .relaxed)
                    }
                    var cursor = table.cursor()
                    var isAtRecord = cursor.seek(scattered(number))
                    if !isAtRecord || cursor.key != scattered(number) { wrong.wrappingAdd(1, ordering: .relaxed) }
                    var previous = scattered(number)
                    for _ in 0..<20 where isAtRecord {
                        isAtRecord = cursor.next()
                        if !isAtRecord { break }
                        if !(previous < cursor.key) || cursor.value?.count != 8 { wrong.wrappingAdd(1, ordering: .relaxed) }
                        previous = cursor.key
                    }
                }
            }
        }
        for number in 0..<total {
            let value = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 8)
            value.withUnsafeBytes { table.put(scattered(number), $0) }
            if number > 0 { value.withUnsafeBytes { table.put(scattered(number / 2), $0) } }
            published.store(number + 1, ordering: .releasing)
        }
        for reader in readers { reader.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(table._checkInvariants() == [])
    }
}

private func scattered(_ number: Int) -> RecordKey { RecordKey(kind: 2, first: 1, second: KeyHash.mix(UInt64(number)) >> 1) }

extension RecordKey {
    fileprivate func put(into table: MemoryTable) {
        withUnsafeBytes(of: first) { table.put(self, $0) }
    }
}

/// A thread with a body, and a join.
final class TestThread: @unchecked Sendable {
    // @unchecked: the handle is written before the object is shared.
    private var handle = pthread_t()
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    init(_ body: @escaping @Sendable () -> Void) {
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        let result = pthread_create(
            &handle, nil,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context)
        precondition(result == 0)
    }

    func join() { pthread_join(handle, nil) }
}
