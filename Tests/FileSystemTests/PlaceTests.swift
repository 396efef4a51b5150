import FileSystem
import MetadataStore
import SystemPackage
import Testing

/// Files without a name that get one, in the place of others or not.
@Suite struct PlaceTests {
    private func unnamed(_ volume: TestVolume, _ content: [UInt8]) throws -> InodeID {
        let inode = try volume.fileSystem.makeUnnamed(.root, mode: 0o644, caller: TestVolume.caller).inode
        try volume.write(inode, at: 0, content)
        return inode
    }

    private func place(
        _ volume: TestVolume, _ inode: InodeID, _ directory: InodeID, _ name: String, if allows: (Attributes?) -> Bool = { _ in true }
    ) throws -> FileSystem.Placement? {
        try Array(name.utf8).withUnsafeBytes { try volume.fileSystem.place(inode, directory, $0, if: allows) }
    }

    private func expectClean(_ volume: TestVolume, records: Int) throws {
        #expect(volume.metadata.recordCount == records)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
        #expect(volume.log.all.isEmpty)
    }

    /// Inline, and in chunks of more extents than one batch deletes.
    @Test(arguments: [10, 20_000]) func replacingIsOneStep(_ size: Int) throws {
        let volume = try TestVolume(options: { $0.batchRecordLimit = 2 })
        let first = try unnamed(volume, [UInt8](repeating: 1, count: size))
        let made = try #require(try place(volume, first, .root, "f"))
        #expect(made.replaced == nil)
        #expect(made.attributes.linkCount == 1)
        volume.fileSystem.forget(first, count: 1)
        #expect(try volume.lookup(.root, "f").inode == first)
        for offset in 0..<5 { try volume.write(first, at: UInt64(offset * 1000), [UInt8](repeating: 9, count: 10)) }

        let second = try unnamed(volume, [UInt8](repeating: 2, count: size))
        let before = try volume.fileSystem.attributes(.root)
        let replaced = try #require(try place(volume, second, .root, "f"))
        #expect(replaced.replaced?.inode == first)
        volume.fileSystem.forget(second, count: 1)
        #expect(try volume.read(second, at: 0, count: size) == [UInt8](repeating: 2, count: size))
        #expect(throws: Errno.staleNFSFileHandle) { try volume.fileSystem.attributes(first) }
        #expect(try volume.fileSystem.attributes(.root).sizeBytes == before.sizeBytes)
        try volume.unlink(.root, "f")
        #expect(volume.metadata.liveBytes.isEmpty)
        try expectClean(volume, records: 2)
    }

    @Test func whoHoldsTheOldFileKeepsIt() throws {
        let volume = try TestVolume()
        let old = try unnamed(volume, [1])
        _ = try place(volume, old, .root, "f")
        let new = try unnamed(volume, [2])
        _ = try place(volume, new, .root, "f")
        #expect(try volume.read(old, at: 0, count: 1) == [1])
        volume.fileSystem.forget(old, count: 1)
        #expect(throws: Errno.staleNFSFileHandle) { try volume.fileSystem.attributes(old) }
        volume.fileSystem.forget(new, count: 1)
        try volume.unlink(.root, "f")
        try expectClean(volume, records: 2)
    }

    @Test func aRefusalChangesNothing() throws {
        let volume = try TestVolume()
        let old = try volume.makeFile(.root, "f")
        let inode = try unnamed(volume, [1])
        let before = try volume.fileSystem.attributes(.root)
        var seen: InodeID?
        let refused = try place(volume, inode, .root, "f") { existing in
            seen = existing?.inode
            return false
        }
        #expect(refused == nil)
        #expect(seen == old)
        #expect(try volume.fileSystem.attributes(.root) == before)
        #expect(try volume.lookup(.root, "f").inode == old)
        volume.fileSystem.forget(inode, count: 1)
        try expectClean(volume, records: 4)
    }

    @Test func whatCannotBePlaced() throws {
        let volume = try TestVolume()
        try volume.makeDirectory(.root, "d")
        let named = try volume.makeFile(.root, "f")
        let inode = try unnamed(volume, [1])
        #expect(throws: Errno.isDirectory) { try place(volume, inode, .root, "d") }
        #expect(throws: Errno.isDirectory) { try place(volume, inode, .root, "..") }
        #expect(throws: Errno.noSuchFileOrDirectory) { try place(volume, named, .root, "g") }
        #expect(throws: Errno.noSuchFileOrDirectory) { try place(volume, named, .root, "f") }
        #expect(throws: Errno.notDirectory) { try place(volume, inode, named, "x") }
        #expect(throws: Errno.fileNameTooLong) { try place(volume, inode, .root, String(repeating: "x", count: 256)) }
        volume.fileSystem.forget(inode, count: 1)
        #expect(throws: Errno.staleNFSFileHandle) { try place(volume, inode, .root, "x") }
    }

    @Test func aReplacedLinkKeepsItsOtherNames() throws {
        let volume = try TestVolume()
        let old = try volume.makeFile(.root, "f")
        try volume.link(old, .root, Array("g".utf8))
        let inode = try unnamed(volume, [1])
        #expect(try place(volume, inode, .root, "f")?.replaced?.inode == old)
        volume.fileSystem.forget(inode, count: 1)
        #expect(try volume.fileSystem.attributes(old).linkCount == 1)
        #expect(try volume.lookup(.root, "g").inode == old)
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [])
    }
}
