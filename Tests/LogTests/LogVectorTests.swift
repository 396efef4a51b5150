import BlobStorage
import Glibc
import Records
import Sealing
import Syscalls
import Tables
import Testing

@testable import Log

/// The vectors in docs/format/log.md are what this version makes and opens: nobody changes the format without the document.
@Suite struct LogVectorTests {
    private let document = VectorDocument("docs/format/log.md")

    @Test func documentedVectorsAreMade() {
        let made = LogVectors().text
        #expect(document.text == made, "the document should say:\n\(made)")
    }

    /// From the document's bytes alone; only the large chunk, of which it shows the digest, is sealed anew.
    private func documentedSegment() throws -> [UInt8] {
        let made = LogVectors()
        var segment = try #require(document.bytes("opening frame"))
        segment += try #require(document.bytes("small chunk frame"))
        let large = Array(made.segment[made.starts[2]..<made.starts[3]])
        #expect(document.bytes("SHA-256 of the large chunk frame") == DigestHasher.digest(of: large).bytes)
        segment += large
        for name in ["commit frame", "part frame", "final frame", "checkpoint frame", "closing frame"] {
            segment += try #require(document.bytes(name), "\(name)")
        }
        #expect(document.bytes("SHA-256 of the segment") == DigestHasher.digest(of: segment).bytes)
        return segment
    }

    private struct Replayed {
        var marks: [CommitMark]
        var values: [OwnedRecordKey: [UInt8]]
        var deleted: [OwnedRecordKey]
        var live: [UInt64: Int64]
        var endBytes: UInt64
    }

    private func replay(_ segment: [UInt8]) throws -> Replayed {
        let storage = MemoryStorage()
        let blob = try storage.createBlob(LogVectors.blob)
        try segment.withBytes { (bytes) throws(Failure) in try blob.write(bytes, at: 0) }
        final class Found { var it = Replayed(marks: [], values: [:], deleted: [], live: [:], endBytes: 0) }
        let found = Found()
        var replay = LogReplay(storage: storage, keys: LogVectors.keys(), from: LogVectors.start, mark: .none) { operation in
            switch operation {
            case .put(let key, let value): found.it.values[OwnedRecordKey(key)] = Array(value)
            case .delete(let key): found.it.deleted.append(OwnedRecordKey(key))
            case .liveBytes(let segment, let delta): found.it.live[segment, default: 0] += delta
            }
        }
        try replay.run()
        found.it.marks = replay.marks
        found.it.endBytes = replay.end.offset
        return found.it
    }

    @Test func theDocumentedSegmentIsReplayed() throws {
        let found = try replay(try documentedSegment())
        let digests = ["commit digest", "digest of the commit in parts", "checkpoint digest"].map { document.bytes($0) }
        #expect(found.marks.map(\.generation) == [1, 2, 3])
        #expect(found.marks.map { $0.digest.bytes } == digests)
        #expect(found.values[OwnedRecordKey(kind: 1, first: 1)] == Array("root".utf8))
        #expect(found.values[OwnedRecordKey(kind: 4, first: 42)] == (0..<300).map { UInt8(truncatingIfNeeded: $0) })
        #expect(found.values.count == 2)
        #expect(found.deleted == [OwnedRecordKey(kind: 2, first: 1, second: 5, name: Array("old".utf8))])
        #expect(found.live == [3: 10_010])
    }

    @Test(arguments: CipherSuite.allCases) func theDocumentedChunkOpens(suite: CipherSuite) throws {
        let name = suite == .aes256Gcm ? "small chunk frame" : "small chunk frame with suite \(suite.rawValue)"
        let frame = try #require(document.bytes(name))
        let cipher = LogVectors.keys(suite).cipher(for: .segment, high: LogVectors.blob.high, low: LogVectors.blob.low)
        let place = FramePlace(blob: LogVectors.blob, offset: try #require(document.number("small chunk offset")), frame: 1)
        let header = try #require(frame.withUnsafeBytes { FrameSealing.openHeader($0, at: place, with: cipher) })
        #expect(header == FrameHeader(kind: .chunk, blockSizeLog2: 12, payloadSizeBytes: 10, first: 42, second: 8192))
        var payload = [UInt8](repeating: 0, count: header.payloadSizeBytes)
        let isGenuine = frame.withUnsafeBytes { frame in
            payload.withUnsafeMutableBytes {
                FrameSealing.openBlocks(
                    UnsafeRawBufferPointer(rebasing: frame[FrameHeader.sealedSizeBytes...]), firstBlock: 0, payloadSizeBytes: 10,
                    blockSizeLog2: 12, at: place, with: cipher, into: $0)
            }
        }
        #expect(isGenuine && payload == LogVectors.small)
    }

    @Test func theDocumentedHeadOpensInItsOwnSlotOnly() throws {
        let slot = try #require(document.bytes("head slot"))
        let keys = LogVectors.keys()
        let head = try #require(HeadFile.open(slot, slot: 1, writer: 0, keys: keys))
        #expect(head == LogVectors().head)
        #expect(HeadFile.open(slot, slot: 0, writer: 0, keys: keys) == nil)
        #expect(HeadFile.open(slot, slot: 1, writer: 1, keys: keys) == nil)
        for at in slot.indices {
            var changed = slot
            changed[at] ^= 1
            #expect(HeadFile.open(changed, slot: 1, writer: 0, keys: keys) == nil, "byte \(at)")
        }
    }

    @Test func theDocumentedManifestIsRead() throws {
        let bytes = try #require(document.bytes("manifest"))
        let manifest = try #require(bytes.withUnsafeBytes { Manifest(decoding: $0) })
        #expect(manifest.replayFrom == LogVectors.start)
        #expect(manifest.replayMark == .none)
        #expect(manifest.nextSegment == 4)
        #expect(manifest.history.map { $0.digest.bytes } == [document.bytes("commit digest")])
        #expect(manifest.segments.map(\.liveBytes) == [10_010])
        #expect(manifest.tables.map(\.recordCount) == [12])
        for count in 0..<bytes.count {
            #expect(bytes[..<count].withUnsafeBytes { Manifest(decoding: $0) } == nil, "cut to \(count) bytes")
        }
        // A feature word with an unknown bit: compatible ones are passed over, the two others refuse.
        for (word, opens) in [(4, true), (12, false), (20, false)] {
            var changed = bytes
            changed[word] = 1
            #expect((changed.withUnsafeBytes { Manifest(decoding: $0) } != nil) == opens, "word at \(word)")
        }
    }

    /// Every place in a full run; otherwise every fifth, and few within the large chunk, whose blocks are all alike.
    private func places(_ made: LogVectors) -> [Int] {
        if getenv("EFS_TEST_FULL") != nil { return Array(made.segment.indices) }
        let edges = made.starts.flatMap { [$0, $0 + 1, $0 + 23, $0 + 24, $0 + 39, $0 + 40] } + made.starts.dropFirst().map { $0 - 1 }
        let large = made.starts[2]..<made.starts[3]
        return edges + made.segment.indices.filter { large.contains($0) ? $0 % 211 == 0 : $0 % 5 == 0 }
    }

    /// Whatever byte is changed, the log ends before the first commit that covers it: never other data, never a trap.
    @Test func aChangedByteEndsTheLogBeforeTheCommitThatCoversIt() throws {
        let made = LogVectors()
        let whole = try replay(made.segment)
        // The frames of the three commits: 3; 4 and 5; 6. Each covers all bytes from the end of the one before.
        let ends = [made.starts[4], made.starts[6], made.starts[7], made.segment.count]
        for at in places(made) {
            var changed = made.segment
            changed[at] ^= 0x10
            let found = try replay(changed)
            let intact = ends.firstIndex { at < $0 } ?? 0
            #expect(found.marks == Array(whole.marks.prefix(intact)), "byte \(at)")
        }
    }

    @Test func theLogEndsAtAWholeCommitWhereverItIsCut() throws {
        let made = LogVectors()
        let whole = try replay(made.segment)
        let ends = [made.starts[4], made.starts[6], made.starts[7]]
        for count in places(made) {
            let found = try replay(Array(made.segment[..<count]))
            #expect(found.marks == Array(whole.marks.prefix(ends.count { $0 <= count })), "cut to \(count) bytes")
        }
    }
}
