import FileSystem
import SystemPackage
import Testing

/// What a new inode takes from its directory: the group of a set-group-ID directory, and the default access control list.
@Suite struct InheritanceTests {
    private let volume: TestVolume
    private let directory: InodeID

    init() throws {
        volume = try TestVolume()
        directory = try volume.makeDirectory(.root, "d")
    }

    private func setMode(_ inode: InodeID, _ mode: UInt32, gid: UInt32? = nil) throws {
        var changes = AttributeChanges()
        changes.gid = gid
        _ = try volume.fileSystem.setAttributes(inode, changes)
        changes = AttributeChanges()
        changes.mode = mode
        _ = try volume.fileSystem.setAttributes(inode, changes)
    }

    private func attributes(_ inode: InodeID) throws -> Attributes { try volume.fileSystem.attributes(inode) }

    // MARK: Group

    @Test func aSetGroupIDDirectoryGivesItsGroup() throws {
        try setMode(directory, 0o2755, gid: 77)
        let file = try volume.makeFile(directory, "f")
        let sub = try volume.makeDirectory(directory, "sub")
        let link = try volume.makeSymbolicLink(directory, Array("l".utf8), target: [1])
        let unnamed = try volume.fileSystem.makeUnnamed(directory, mode: 0o600, caller: TestVolume.caller)
        for inode in [file, sub, link, unnamed.inode] { #expect(try attributes(inode).gid == 77) }
        for inode in [file, sub, link, unnamed.inode] { #expect(try attributes(inode).uid == TestVolume.caller.uid) }
        // The bit goes on with directories only.
        #expect(try attributes(sub).mode & 0o7777 == 0o2755)
        #expect(try attributes(file).mode & 0o7777 == 0o644)
        // What is moved there keeps its group.
        let other = try volume.makeFile(.root, "other")
        try volume.rename(.root, Array("other".utf8), directory, Array("other".utf8))
        #expect(try attributes(other).gid == TestVolume.caller.gid)
    }

    @Test func anotherDirectoryGivesNone() throws {
        try setMode(directory, 0o755, gid: 77)
        #expect(try attributes(volume.makeFile(directory, "f")).gid == TestVolume.caller.gid)
        #expect(try attributes(volume.makeDirectory(directory, "sub")).gid == TestVolume.caller.gid)
    }

    // MARK: Lists

    private static let access = Array("system.posix_acl_access".utf8)
    private static let defaults = Array("system.posix_acl_default".utf8)

    /// Tag, permissions and id of each entry, as acl(5) has them.
    private func list(_ entries: [(tag: UInt8, permissions: UInt8, id: UInt32)]) -> [UInt8] {
        entries.reduce([2, 0, 0, 0]) { list, entry in
            list + [entry.tag, 0, entry.permissions, 0] + withUnsafeBytes(of: entry.id.littleEndian) { Array($0) }
        }
    }

    /// Owner rwx, user 1000 `user`, owning group r-x, mask `mask`, others `other`.
    private func list(owner: UInt8 = 7, user: UInt8 = 6, mask: UInt8 = 7, other: UInt8 = 0) -> [UInt8] {
        list([(1, owner, .max), (2, user, 1000), (4, 5, .max), (16, mask, .max), (32, other, .max)])
    }

    private func make(_ name: String, mode: UInt32, umask: UInt32) throws -> InodeID {
        try volume.makeNode(directory, Array(name.utf8), mode: mode, caller: Caller(uid: 1000, gid: 100, umask: umask))
    }

    @Test func withoutAListTheUmaskCounts() throws {
        #expect(try attributes(make("f", mode: 0o666, umask: 0o027)).mode & 0o7777 == 0o640)
    }

    /// acl(5), "Object creation and default ACLs": the list replaces the umask, the mode takes from it.
    @Test func aDefaultListReplacesTheUmask() throws {
        try volume.setXattr(directory, Self.defaults, list())
        let file = try make("f", mode: 0o666, umask: 0o077)
        #expect(try attributes(file).mode & 0o7777 == 0o660)
        #expect(try volume.xattr(file, Self.access) == list(owner: 6, mask: 6))
        // A file has no default list, a directory has its parent's, whole.
        #expect(throws: Errno.noData) { try volume.xattr(file, Self.defaults) }
        let sub = try volume.makeDirectory(directory, Array("sub".utf8), mode: 0o750, caller: Caller(uid: 1000, gid: 100, umask: 0o077))
        #expect(try volume.xattr(sub, Self.defaults) == list())
        #expect(try volume.xattr(sub, Self.access) == list(mask: 5))
        #expect(try attributes(sub).mode & 0o7777 == 0o750)
        let below = try volume.makeNode(sub, Array("f".utf8), mode: 0o600, caller: Caller(uid: 1000, gid: 100, umask: 0))
        #expect(try volume.xattr(below, Self.access) == list(owner: 6, mask: 0))
    }

    /// A list that says no more than nine mode bits becomes those.
    @Test func aMinimalDefaultListIsKeptInTheMode() throws {
        try volume.setXattr(directory, Self.defaults, list([(1, 7, .max), (4, 5, .max), (32, 1, .max)]))
        let file = try make("f", mode: 0o777, umask: 0o777)
        #expect(try attributes(file).mode & 0o7777 == 0o751)
        #expect(throws: Errno.noData) { try volume.xattr(file, Self.access) }
    }

    @Test func linksAndTheirTargetsTakeNoList() throws {
        try volume.setXattr(directory, Self.defaults, list())
        let link = try volume.makeSymbolicLink(directory, Array("l".utf8), target: [1])
        #expect(try attributes(link).mode & 0o7777 == 0o777)
        #expect(throws: Errno.noData) { try volume.xattr(link, Self.access) }
    }

    @Test func theMaskFollowsTheModeAndTheModeTheList() throws {
        let file = try make("f", mode: 0o644, umask: 0)
        try volume.setXattr(file, Self.access, list(mask: 4, other: 4))
        #expect(try attributes(file).mode & 0o777 == 0o744)
        try setMode(file, 0o620)
        #expect(try volume.xattr(file, Self.access) == list(owner: 6, mask: 2, other: 0))
        try volume.removeXattr(file, Self.access)
        #expect(try attributes(file).mode & 0o777 == 0o620)
    }
}
