import Records
import Testing

@testable import Log

/// What is refused on a full storage: what makes the volume larger, and nothing else.
@Suite struct LogNeedsRoomTests {
    private func batch(_ change: (RecordBatch) -> Void) -> RecordBatch {
        let batch = RecordBatch()
        change(batch)
        return batch
    }

    private func put(_ batch: RecordBatch, _ kind: RecordKind, _ number: UInt64) {
        [1].withUnsafeBytes { batch.put(RecordKey(kind, number), $0) }
    }

    @Test func countsWhatComesAgainstWhatGoes() {
        #expect(batch { put($0, .dirent, 1) }.needsRoom)
        #expect(batch { put($0, .inline, 1) }.needsRoom)
        let renaming = batch {
            $0.delete(RecordKey(.dirent, 1))
            put($0, .dirent, 2)
            put($0, .inode, 3)
        }
        #expect(!renaming.needsRoom)
        let replacing = batch {
            $0.delete(RecordKey(.xattr, 1))
            put($0, .xattr, 1)
        }
        #expect(!replacing.needsRoom)
        // A name that goes pays for no attribute.
        let mixed = batch {
            $0.delete(RecordKey(.dirent, 1))
            put($0, .xattr, 1)
        }
        #expect(mixed.needsRoom)
        #expect(batch { $0.liveBytes(segment: 1, delta: 5) }.needsRoom)
        #expect(!batch { $0.liveBytes(segment: 1, delta: -5) }.needsRoom)
    }
}
