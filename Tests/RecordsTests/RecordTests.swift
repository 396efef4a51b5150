import Records
import Testing

@Suite struct RecordTests {
    /// In their order: kind, the two numbers, the name's bytes, the shorter first.
    private static let sorted: [OwnedRecordKey] = [
        .init(kind: 0, first: .max, second: .max, name: [255]), .init(kind: 1, first: 0), .init(kind: 1, first: 0, name: [0]),
        .init(kind: 1, first: 0, name: [0, 0]), .init(kind: 1, first: 0, name: [0, 1]), .init(kind: 1, first: 0, name: [1]),
        .init(kind: 1, first: 0, name: [0x7F, 0xFF]), .init(kind: 1, first: 0, name: [0x80]), .init(kind: 1, first: 0, second: 1),
        .init(kind: 1, first: 1), .init(kind: 1, first: 256), .init(kind: 1, first: 1 << 63), .init(kind: 2, first: 0),
        .init(kind: 255, first: .max, second: .max, name: [UInt8](repeating: 255, count: 255)),
    ]

    @Test func keysHaveOneOrderInBothForms() {
        for (i, a) in Self.sorted.enumerated() {
            for (j, b) in Self.sorted.enumerated() {
                #expect((a < b) == (i < j) && (a == b) == (i == j))
                a.withKey { x in
                    b.withKey { y in #expect((x < y) == (i < j) && (x == y) == (i == j) && (x > y) == (i > j)) }
                }
            }
        }
    }

    @Test func keysSurviveTheirEncodingAndNoCutOne() {
        for key in Self.sorted {
            var writer = ByteWriter()
            key.encode(into: &writer)
            #expect(writer.count == RecordKey.fixedSizeBytes + 1 + key.name.count)
            for length in 0...writer.count {
                var reader = ByteReader(UnsafeRawBufferPointer(rebasing: writer.readable[..<length]))
                #expect(OwnedRecordKey(from: &reader) == (length == writer.count ? key : nil))
            }
        }
    }

    private enum Seen: Equatable {
        case put(OwnedRecordKey, [UInt8])
        case delete(OwnedRecordKey)
        case liveBytes(UInt64, Int64)

        init(_ operation: BatchOperation) {
            self =
                switch operation {
                case .put(let key, let value): .put(OwnedRecordKey(key), Array(value))
                case .delete(let key): .delete(OwnedRecordKey(key))
                case .liveBytes(let segment, let delta): .liveBytes(segment, delta)
                }
        }
    }

    private func sample() -> (batch: RecordBatch, expected: [Seen]) {
        let batch = RecordBatch(capacityBytes: 1)
        var expected: [Seen] = []
        for (index, key) in Self.sorted.enumerated() {
            let value = [UInt8](repeating: UInt8(index), count: index * 3)
            key.withKey { key in
                switch index % 3 {
                case 0: value.withUnsafeBytes { batch.put(key, $0) }
                case 1: batch.put(key) { $0.append(value) }
                default: batch.delete(key)
                }
            }
            expected.append(index % 3 == 2 ? .delete(key) : .put(key, value))
            batch.liveBytes(segment: UInt64(index), delta: -Int64(index))
            expected.append(.liveBytes(UInt64(index), -Int64(index)))
        }
        return (batch, expected)
    }

    @Test func aBatchGivesItsOperationsInOrder() {
        let (batch, expected) = sample()
        #expect(batch.count == expected.count)
        var seen: [Seen] = []
        batch.forEach { seen.append(Seen($0)) }
        #expect(seen == expected)
        batch.reset()
        #expect(batch.count == 0)
        batch.forEach { _ in Issue.record("an empty batch has no operation") }
    }

    /// The same bytes whoever writes them.
    @Test func singleOperationsAreAsInABatch() {
        for key in Self.sorted {
            key.withKey { key in
                let batch = RecordBatch()
                var writer = ByteWriter()
                [1, 2, 3].withUnsafeBytes {
                    batch.put(key, $0)
                    writer.appendPut(key, $0)
                }
                batch.delete(key)
                writer.appendDelete(key)
                #expect(Array(batch.bytes.readable) == Array(writer.readable))
            }
        }
    }

    /// What comes from a disk: each prefix is whole or refused, an unknown operation is refused, and nothing traps.
    @Test func cutAndChangedBatchesAreDecodedAsFarAsTheyGo() {
        let (batch, expected) = sample()
        let bytes = Array(batch.bytes.readable)
        var whole = 0
        for length in 0...bytes.count {
            var seen: [Seen] = []
            let isWhole = bytes[..<length].withUnsafeBytes { BatchDecoder.decode($0) { seen.append(Seen($0)) } }
            #expect(seen == Array(expected.prefix(seen.count)))
            if isWhole { whole += 1 }
        }
        #expect(whole == expected.count + 1, "only the ends of operations are ends of batches")
        #expect(![0].withUnsafeBytes { BatchDecoder.decode($0) { _ in } })
        let seed = UInt64.random(in: 0 ... .max)
        var state = seed
        for _ in 0..<5000 {
            var changed = bytes
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                changed[Int(state >> 33) % changed.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            var count = 0
            _ = changed.withUnsafeBytes { BatchDecoder.decode($0) { _ in count += 1 } }
            #expect(count <= changed.count, "seed \(seed)")
        }
    }
}
