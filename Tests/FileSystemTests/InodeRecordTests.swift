import MetadataStore
import Records
import Testing

@testable import FileSystem

@Suite struct InodeRecordTests {
    private func encoded(_ inode: Inode) -> [UInt8] {
        var writer = ByteWriter()
        inode.encode(into: &writer)
        return [UInt8](writer.readable)
    }

    private func decoded(_ bytes: [UInt8]) -> Inode? { bytes.withUnsafeBytes { Inode.decode($0) } }

    private static let times = [
        Timestamp(seconds: 0), Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789),
        Timestamp(seconds: .min, nanoseconds: 999_999_999), Timestamp(seconds: .max, nanoseconds: 999_999_999), Timestamp(seconds: -1),
    ]

    /// Every combination of times, and every number at its ends.
    @Test func everythingComesBack() {
        for modified in Self.times {
            for changed in Self.times {
                for accessed in Self.times {
                    for born in Self.times {
                        for variant in 0..<8 {
                            var inode = Inode(
                                mode: variant & 1 == 0 ? 0o100644 : 0o041777, linkCount: variant & 2 == 0 ? 1 : .max,
                                uid: variant & 2 == 0 ? 0 : .max, gid: variant & 4 == 0 ? 1000 : .max, time: modified)
                            inode.changeTime = changed
                            inode.accessTime = accessed
                            inode.birthTime = born
                            inode.size = variant & 4 == 0 ? 0 : UInt64(Int64.max)
                            inode.allocatedBytes = variant & 2 == 0 ? inode.size : 12345
                            inode.flags = variant & 4 == 0 ? [] : [.hasXattrs, .staleTail, InodeFlags(rawValue: 1 << 31)]
                            inode.parent = variant & 1 == 0 ? 0 : .max
                            inode.deviceNumber = variant & 2 == 0 ? 0 : .max
                            inode.changeCounter = variant & 4 == 0 ? 0 : .max
                            let bytes = encoded(inode)
                            #expect(decoded(bytes) == inode)
                        }
                    }
                }
            }
        }
    }

    @Test func typicalSizes() {
        let now = Timestamp(seconds: 1_763_000_000, nanoseconds: 123_456_789)
        var file = Inode(mode: 0o100644, linkCount: 1, uid: 1000, gid: 1000, time: now)
        file.size = 20_000
        file.allocatedBytes = 20_000
        file.changeCounter = 1
        #expect(encoded(file).count <= 27)
        // Unpacked from an archive: modified long ago, made and changed within milliseconds.
        file.modificationTime = Timestamp(seconds: 1_600_000_000, nanoseconds: 1)
        file.changeTime.nanoseconds += 2_000_000
        file.changeCounter = 200
        #expect(encoded(file).count <= 45)
    }

    /// Fields of a later version are kept as they are.
    @Test func unknownFieldsAreKept() {
        var inode = Inode(mode: 0o100644, linkCount: 1, uid: 0, gid: 0, time: Timestamp(seconds: 1))
        let bytes = encoded(inode) + [9, 3, 1, 2, 3, 10, 0]
        guard let read = decoded(bytes) else {
            Issue.record("a record with unknown fields is read")
            return
        }
        #expect(read.unknownFields == [9, 3, 1, 2, 3, 10, 0])
        #expect(encoded(read) == bytes)
        inode.unknownFields = [9, 3, 1, 2, 3, 10, 0]
        #expect(read == inode)
        #expect(decoded(encoded(inode) + [9]) == nil)
        #expect(decoded(encoded(inode) + [9, 5, 1]) == nil)
    }

    /// No cut and no changed byte is a trap; cuts inside the fields are refused.
    @Test func damagedRecordsAreRefusedOrRead() {
        var inode = Inode(mode: 0o060600, linkCount: 3, uid: 1000, gid: 100, time: Self.times[1])
        inode.changeTime = Self.times[0]
        inode.accessTime = Self.times[2]
        inode.flags = .hasXattrs
        inode.deviceNumber = 77
        let bytes = encoded(inode)
        for count in 0..<bytes.count { #expect(decoded(Array(bytes[..<count])) == nil) }
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                if let read = decoded(changed) { #expect(read != inode) }
            }
        }
    }

    @Test func extentsComeBackAndAreBounded() {
        let chunk = ChunkLocation(segment: .max, frameOffset: .max, frame: .max, sizeBytes: 1 << 20, blockSizeLog2: 16)
        let extents = [
            Extent(start: 0, length: 1), Extent(start: 5, length: UInt64(Int64.max) - 5),
            Extent(start: 0, length: 1 << 20, chunk: chunk),
            Extent(start: UInt64(Int64.max) - 1, length: 1, chunk: chunk, offsetInChunk: 77),
        ]
        for extent in extents {
            var writer = ByteWriter()
            extent.encode(into: &writer)
            #expect(Extent.decode(end: extent.end, writer.readable) == extent)
            for count in 0..<writer.count {
                #expect(Extent.decode(end: extent.end, UnsafeRawBufferPointer(rebasing: writer.readable[..<count])) == nil)
            }
            // Longer than there is room before its end, or past the largest size.
            #expect(Extent.decode(end: extent.length - 1, writer.readable) == nil)
            #expect(Extent.decode(end: UInt64(Int64.max) + 1, writer.readable) == nil)
        }
        var outside = ByteWriter()
        Extent(start: 0, length: 10, chunk: chunk, offsetInChunk: (1 << 20) - 9).encode(into: &outside)
        #expect(Extent.decode(end: 10, outside.readable) == nil)
    }

    @Test func direntsComeBack() {
        for type in InodeType.allCases {
            for inode in [1, 300, UInt64.max] {
                var writer = ByteWriter()
                Dirent(inode: inode, type: type).encode(into: &writer)
                #expect(Dirent.decode(writer.readable) == Dirent(inode: inode, type: type))
                writer.append(UInt8(0))
                #expect(Dirent.decode(writer.readable) == nil)
            }
        }
    }
}
