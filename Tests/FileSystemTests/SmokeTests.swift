import FileSystem
import MetadataStore
import SystemPackage
import Testing

@Suite struct SmokeTests {
    @Test func filesAndDirectories() throws {
        let volume = try TestVolume()
        let directory = try volume.makeDirectory(.root, "d")
        let file = try volume.makeFile(directory, "f")
        let content = [UInt8]((0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        try volume.write(file, at: 0, Array(content[..<100]))
        try volume.write(file, at: 100, Array(content[100..<3000]))
        try volume.write(file, at: 3000, Array(content[3000...]))
        #expect(try volume.read(file, at: 0, count: 6000) == content)
        #expect(try volume.lookup(directory, "f").sizeBytes == 5000)
        #expect(throws: Errno.directoryNotEmpty) { try volume.removeDirectory(.root, "d") }
        try volume.rename(directory, Array("f".utf8), .root, Array("g".utf8))
        try volume.removeDirectory(.root, "d")
        #expect(try volume.read(file, at: 0, count: 6000) == content)
        #expect(try volume.list(.root).map { String(decoding: $0.name, as: UTF8.self) } == [".", "..", "g"])
        try volume.unlink(.root, "g")
        #expect(volume.metadata.liveBytes.isEmpty)
        #expect(volume.metadata.recordCount == 2)
        #expect(volume.log.all.isEmpty)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
    }
}
