import Glibc
import Testing

@testable import FUSE

@Suite struct DirectoryBufferTests {
    /// Every size of buffer from nothing to more than enough: what is there is whole, padded and in order.
    @Test(arguments: [false, true]) func fillsUpToTheBrim(plus: Bool) throws {
        let names = ["a", "1234567", "12345678", "123456789", String(repeating: "x", count: 255)].map { Array($0.utf8) }
        for size in 0...1300 {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
            defer { memory.deallocate() }
            for index in 0..<size { memory[index] = 0xaa }
            var buffer = DirectoryBuffer(memory)
            var added = 0
            for (index, name) in names.enumerated() {
                let fits = name.withUnsafeBytes { bytes in
                    let inode = UInt64(100 + index)
                    let next = UInt64(index + 1)
                    return plus
                        ? buffer.append(Self.entry(inode), inode: inode, nextOffset: next, mode: S_IFREG | 0o644, name: bytes)
                        : buffer.append(inode: inode, nextOffset: next, mode: S_IFREG | 0o644, name: bytes)
                }
                if !fits { break }
                added += 1
            }
            #expect(buffer.entryCount == added)
            #expect(buffer.count <= size)
            try check(UnsafeRawBufferPointer(rebasing: memory[..<buffer.count]), names.prefix(added), plus: plus)
            if added < names.count {
                let needed = (24 + names[added].count + 7) & ~7
                #expect(size - buffer.count < needed + (plus ? 128 : 0))
            }
        }
    }

    private static func entry(_ inode: UInt64) -> Entry {
        let time = FileTime(seconds: 5, nanoseconds: 6)
        return Entry(node: NodeID(inode), attributes: Attributes(inode: inode, atime: time, mtime: time, ctime: time, mode: S_IFREG))
    }

    private func check(_ bytes: UnsafeRawBufferPointer, _ names: ArraySlice<[UInt8]>, plus: Bool) throws {
        var at = 0
        for (index, name) in names.enumerated() {
            if plus {
                let entry = bytes.loadUnaligned(fromByteOffset: at, as: EntryOut.self)
                #expect(entry.node == UInt64(100 + index))
                #expect(entry.attributes.mtimeNanoseconds == 6)
                at += 128
            }
            let dirent = bytes.loadUnaligned(fromByteOffset: at, as: DirentOut.self)
            try #require(Int(dirent.nameLength) == name.count)
            #expect(dirent.inode == UInt64(100 + index))
            #expect(dirent.nextOffset == UInt64(index + 1))
            #expect(dirent.type == 8)
            #expect(Array(bytes[(at + 24)..<(at + 24 + name.count)]) == name)
            let end = at + ((24 + name.count + 7) & ~7)
            #expect(bytes[(at + 24 + name.count)..<end].allSatisfy { $0 == 0 })
            at = end
        }
        #expect(at == bytes.count)
    }
}
