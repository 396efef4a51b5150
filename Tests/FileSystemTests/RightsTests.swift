import FileSystem
import SystemPackage
import Testing

/// What writing takes from a program, and limits that nobody reaches in a mount.
@Suite struct RightsTests {
    private let capability = Array("security.capability".utf8)

    /// Inline, into the first chunk, and over an extent.
    @Test(arguments: [10, 5000, 100_000]) func aCapabilityOutlivesTheWritebackOfOlderBytes(count: Int) throws {
        let volume = try TestVolume()
        let file = try volume.makeFile(.root, "f")
        let bytes = [UInt8](repeating: 7, count: count)
        for isFresh in [true, false] {
            try volume.setXattr(file, capability, [1, 2, 3])
            try bytes.withUnsafeBytes { try volume.fileSystem.write(file, at: 0, from: $0, isWriteback: true) }
            #expect(try volume.xattr(file, capability) == [1, 2, 3], "\(isFresh)")
            try volume.write(file, at: 0, bytes)
            #expect(throws: Errno.noData) { try volume.xattr(file, capability) }
        }
        #expect(try volume.read(file, at: 0, count: count) == bytes)
    }

    @Test func listsThatAreNotThereCanBeRemoved() throws {
        let volume = try TestVolume()
        let directory = try volume.makeDirectory(.root, "d")
        for name in ["system.posix_acl_access", "system.posix_acl_default"] {
            let before = try volume.fileSystem.attributes(directory)
            try volume.removeXattr(directory, Array(name.utf8))
            #expect(try volume.fileSystem.attributes(directory) == before)
        }
        #expect(throws: Errno.noData) { try volume.removeXattr(directory, Array("user.a".utf8)) }
    }

    /// EMLINK, and nothing is changed: by link, by a directory in a directory, and by one that is moved there.
    @Test func noMoreNamesThanCanBeCounted() throws {
        let volume = try TestVolume(options: { $0.maximumLinkCount = 4 })
        let file = try volume.makeFile(.root, "f")
        let directory = try volume.makeDirectory(.root, "d")
        for index in 0..<3 { try volume.link(file, directory, Array("l\(index)".utf8)) }
        #expect(throws: Errno.tooManyLinks) { try volume.link(file, directory, Array("more".utf8)) }
        #expect(try volume.fileSystem.attributes(file).linkCount == 4)
        for name in ["a", "b"] { try volume.makeDirectory(directory, name) }
        #expect(throws: Errno.tooManyLinks) { try volume.makeDirectory(directory, "c") }
        let full = try volume.fileSystem.attributes(directory)
        #expect(full.linkCount == 4)
        #expect(throws: Errno.noSuchFileOrDirectory) { try volume.lookup(directory, "c") }
        let inner = try volume.lookup(directory, "a").inode
        let moved = try volume.makeDirectory(inner, "moved")
        #expect(throws: Errno.tooManyLinks) { try volume.rename(inner, Array("moved".utf8), directory, Array("moved".utf8)) }
        #expect(try volume.lookup(inner, "moved").inode == moved)
        try volume.removeDirectory(directory, "b")
        try volume.rename(inner, Array("moved".utf8), directory, Array("moved".utf8))
        #expect(try volume.fileSystem.attributes(directory).linkCount == 4)
    }
}
