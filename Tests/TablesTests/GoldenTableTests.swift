import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Tables

/// The bytes of docs/format/tables.md, "Worked example": the format is what these say, for ever.
struct GoldenTableTests {
    private let id = BlobID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
    private let entries: [(OwnedRecordKey, [UInt8]?)] = [
        (OwnedRecordKey(kind: 2, first: 5, second: 0x1122_3344_5566_7788, name: Array("a".utf8)), [1, 2]),
        (OwnedRecordKey(kind: 2, first: 5, second: 0x1122_3344_5566_7799, name: Array("bc".utf8)), nil),
        (OwnedRecordKey(kind: 2, first: 7, second: 1, name: Array("d".utf8)), [3]),
    ]

    @Test func dataBlock() {
        var builder = RecordBlockBuilder(restartInterval: 16)
        for (key, value) in entries {
            key.withKey { key in
                if let value { value.withBytes { builder.add(key, $0) } } else { builder.add(key, nil) }
            }
        }
        // Three records as the document sets them out, then restart point, number of restart points, lines of filter.
        let expected =
            "18020588ef99abc5e88c9111010261" + "0102" + "1e11026263" + "19020101016403" + "00000000" + "01000000" + "00000000"
        #expect(hexadecimal(Array(builder.finish())) == expected)
    }

    @Test func wholeTable() throws {
        let storage = TestStorage()
        var options = TableOptions()
        options.compressionLevel = 0
        let writer = try TableWriter(
            id: id, storage: storage, keys: testKeys(), options: options, scratch: TableWriterScratch(options: options))
        for (key, value) in entries {
            try key.withKey { (key) throws(Failure) in
                guard let value else { return try writer.add(key, nil) }
                try value.withBytes { (value) throws(Failure) in try writer.add(key, value) }
            }
        }
        let info = try writer.finish(level: 1, sequence: 0)
        let blob = try #require(storage.blobs.withLock { $0[id] })
        let bytes = blob.content.withLock { $0 }
        #expect(hexadecimal(bytes) == wholeFile)
        #expect(info.sizeBytes == UInt64(bytes.count))
    }

    /// Written once, read for ever: the frozen bytes, not what is written today.
    @Test func frozenTableOpens() throws {
        let storage = TestStorage()
        let blob = TestBlob(storage)
        var bytes: [UInt8] = []
        var rest = Substring(wholeFile)
        while let byte = UInt8(rest.prefix(2), radix: 16) {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        blob.content.withLock { $0 = bytes }
        storage.blobs.withLock { $0[id] = blob }
        let tree = makeTree(storage)
        try tree.load(manifest: [
            TableInfo(
                id: id, sizeBytes: 278, recordCount: 3, deletionCount: 1, level: 1, sequence: 0, smallest: entries[0].0,
                largest: entries[2].0)
        ])
        #expect(try tree.everything() == [Entry(key: entries[0].0, value: [1, 2]), Entry(key: entries[2].0, value: [3])])
        #expect(try tree.get(entries[1].0) == nil)
        #expect(tree.verify(deep: true) { Issue.record("\($0)") }.damagedCount == 0)
    }

    private var wholeFile: String { Self.wholeFileLines.joined() }

    private static let wholeFileLines = [
        "3f03da8fa4f95eae7756239aa003b4cdc3a26d099b44fa6ad37ceeb8a2abb30e6ef15b40df92ba4f25c66d082ab81ccf1d864caa21bc76c4ebb1",
        "6cb77fd3924d2002f06678bcde3834a2c523e03beea44210f03d114e5cc2899fbcbd26e0e50b41910297438e38c17404466ccdb79b605d6f4370",
        "2d28a91d5d53494947e523d758aabdf0cda51ebc2bc612cd0a8f1ebbf9bc48828ef25f83a80b70716a3426da256b19408cd3633fe3a8e406b2fb",
        "2a3364073f29b62faa3f1a49e6a510922101bd7e6cc9110764bab98d2f5b086ffe20c6d91131e0c3da352ece528dea99e5ec0cd6fdfbdf0d2126",
        "46300af0395aded81f7bf50b67c3da82a91315ae7d5eaaf255ff124fd485d7cd44ed8cd4e7f9f3e9d6b1568b0bf3",
    ]

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
