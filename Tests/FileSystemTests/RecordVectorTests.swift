import ChunkStore
import Glibc
import Records
import Testing

@testable import FileSystem

/// The vectors in docs/format/records.md are what this version writes and reads.
@Suite struct RecordVectorTests {
    private func encoded(_ body: (inout ByteWriter) -> Void) -> String {
        var writer = ByteWriter()
        body(&writer)
        return hexadecimal(Array(writer.readable))
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private var file: Inode {
        var inode = Inode(
            mode: 0o100644, linkCount: 1, uid: 1000, gid: 1000, time: Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789))
        inode.size = 12
        inode.allocatedBytes = 12
        inode.changeCounter = 3
        inode.accessTime = Timestamp(seconds: 1_700_000_001, nanoseconds: 5)
        inode.birthTime = Timestamp(seconds: 1_699_999_990, nanoseconds: 123_456_789)
        inode.flags = .inline
        return inode
    }

    private var directory: Inode {
        var inode = Inode(mode: 0o40755, linkCount: 3, uid: 0, gid: 0, time: Timestamp(seconds: -1, nanoseconds: 999_999_999))
        inode.size = 1
        inode.changeCounter = 7
        inode.parent = 1
        return inode
    }

    private var device: Inode {
        var inode = Inode(mode: 0o20600, linkCount: 1, uid: 0, gid: 0, time: Timestamp(seconds: 0))
        inode.deviceNumber = 0x103
        inode.unknownFields = [0xc8, 0x01, 3] + Array("abc".utf8)
        return inode
    }

    private var extent: Extent {
        let chunk = ChunkLocation(segment: 3, frameOffset: 230, frame: 2, sizeBytes: 10_000, blockSizeLog2: 12)
        return Extent(start: 4096, length: 4096, chunk: chunk, offsetInChunk: 1808)
    }

    @Test func documentedVectorsAreMade() {
        let made = [
            "inode = \(encoded { file.encode(into: &$0) })",
            "directory = \(encoded { directory.encode(into: &$0) })",
            "device with an unknown field = \(encoded { device.encode(into: &$0) })",
            "entry = \(encoded { Dirent(inode: 42, type: .regular).encode(into: &$0) })",
            "extent = \(encoded { extent.encode(into: &$0) })",
            "reserved = \(encoded { Extent(start: 0, length: 65_536, chunk: nil).encode(into: &$0) })",
            "counter = \(encoded { $0.appendVarint(4098) })",
        ].joined(separator: "\n")
        let documented = documentedBlock()
        #expect(documented == made, "the document should say:\n\(made)")
    }

    @Test func documentedVectorsAreRead() {
        for (name, inode) in [("inode", file), ("directory", directory), ("device with an unknown field", device)] {
            let bytes = value(name)
            #expect(bytes.withUnsafeBytes { Inode.decode($0) } == inode, "\(name)")
            for count in 0..<bytes.count where count < bytes.count - 6 {
                let cut = bytes[..<count].withUnsafeBytes { Inode.decode($0) }
                #expect(cut == nil, "\(name) cut to \(count) bytes")
            }
        }
        #expect(value("entry").withUnsafeBytes { Dirent.decode($0) } == Dirent(inode: 42, type: .regular))
        #expect(value("extent").withUnsafeBytes { Extent.decode(end: 8192, $0) } == extent)
        #expect(value("extent").withUnsafeBytes { Extent.decode(end: 4095, $0) } == nil)
        #expect(value("reserved").withUnsafeBytes { Extent.decode(end: 65_536, $0) } == Extent(start: 0, length: 65_536, chunk: nil))
    }

    private func value(_ name: String) -> [UInt8] {
        guard let line = documentedBlock().split(separator: "\n").first(where: { $0.hasPrefix(name + " = ") }) else { return [] }
        let digits = Array(line.utf8.dropFirst(name.utf8.count + 3))
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
    }

    private func documentedBlock() -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        guard let file = fopen("/\(root)/docs/format/records.md", "r") else { return "" }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(of: "```vectors") else { return "" }
        return lines[(start + 1)...].prefix { $0 != "```" }.joined(separator: "\n")
    }
}
