public import SystemPackage

/// A name of 1 to 255 bytes without its NUL, valid in the call that gets it.
public typealias NameBytes = UnsafeRawBufferPointer

/// A file system that a `Session` serves: one method per operation of the kernel.
///
/// The methods are synchronous and called from several threads at once. An error is what the calling program gets.
/// What is not implemented answers ENOSYS, which the kernel takes as "never ask again" for most operations.
/// Pointers are valid in the call that gets them. A method must not wait for something that needs another request of the
/// same mount to be answered.
public protocol FUSEFileSystem: AnyObject, Sendable {
    /// INIT is agreed on; requests follow. `notifier` may be used at any time from then on.
    func started(_ connection: Connection, _ notifier: Notifier)
    /// The last request of a mount of type fuseblk. Other mounts send none: what ends with the mount goes after `Session.run`.
    func destroy()

    // Names
    /// Answer `Entry.negative` rather than ENOENT where the kernel may remember that a name is not there.
    func lookup(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) -> Entry
    func forget(_ list: ForgetList)
    func symlink(_ parent: NodeID, _ name: NameBytes, target: NameBytes, _ context: RequestContext) throws(Errno) -> Entry
    func mknod(_ parent: NodeID, _ name: NameBytes, mode: UInt32, rdev: UInt32, _ context: RequestContext) throws(Errno) -> Entry
    func mkdir(_ parent: NodeID, _ name: NameBytes, mode: UInt32, _ context: RequestContext) throws(Errno) -> Entry
    func unlink(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno)
    func rmdir(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno)
    func rename(
        _ parent: NodeID, _ name: NameBytes, to newParent: NodeID, _ newName: NameBytes, _ flags: RenameFlags,
        _ context: RequestContext
    ) throws(Errno)
    func link(_ node: NodeID, to newParent: NodeID, _ newName: NameBytes, _ context: RequestContext) throws(Errno) -> Entry

    // Attributes
    func getattr(_ node: NodeID, handle: UInt64?, _ context: RequestContext) throws(Errno) -> AttributesReply
    func setattr(
        _ node: NodeID, handle: UInt64?, _ changes: AttributeChanges, _ context: RequestContext
    ) throws(Errno) -> AttributesReply
    func statx(
        _ node: NodeID, handle: UInt64?, flags: UInt32, mask: UInt32, _ context: RequestContext
    ) throws(Errno) -> StatxReply
    /// Puts the target into `target` and returns its length.
    func readlink(_ node: NodeID, into target: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int
    func access(_ node: NodeID, mask: UInt32, _ context: RequestContext) throws(Errno)
    /// `flags` are XATTR_CREATE and XATTR_REPLACE. `killsSetGroupID`: setting this ACL clears the bit.
    func setxattr(
        _ node: NodeID, _ name: NameBytes, value: UnsafeRawBufferPointer, flags: UInt32, killsSetGroupID: Bool,
        _ context: RequestContext
    ) throws(Errno)
    /// Returns the value's length. An empty `value` asks for the length alone; ERANGE if there is too little room.
    func getxattr(
        _ node: NodeID, _ name: NameBytes, into value: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int
    /// As `getxattr`; the names, each ended by a NUL.
    func listxattr(_ node: NodeID, into names: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int
    func removexattr(_ node: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno)
    func statfs(_ node: NodeID, _ context: RequestContext) throws(Errno) -> Statistics

    // Files
    func open(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply
    func create(
        _ parent: NodeID, _ name: NameBytes, mode: UInt32, flags: UInt32, _ context: RequestContext
    ) throws(Errno) -> (Entry, OpenReply)
    func tmpfile(_ parent: NodeID, mode: UInt32, flags: UInt32, _ context: RequestContext) throws(Errno) -> (Entry, OpenReply)
    /// Puts data straight into the reply; returns fewer bytes than there is room for only at the file's end.
    func read(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int
    func write(
        _ node: NodeID, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer, _ flags: WriteFlags, _ context: RequestContext
    ) throws(Errno) -> Int
    func flush(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno)
    func release(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno)
    func fsync(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno)
    func fallocate(
        _ node: NodeID, handle: UInt64, mode: UInt32, offset: UInt64, length: UInt64, _ context: RequestContext
    ) throws(Errno)
    /// `writtenBack`: bytes of which the kernel holds nothing unwritten any more, since this was asked before.
    func lseek(
        _ node: NodeID, handle: UInt64, offset: UInt64, whence: UInt32, writtenBack: Range<UInt64>, _ context: RequestContext
    ) throws(Errno) -> SeekReply
    func copyFileRange(
        _ source: NodeID, handle: UInt64, offset: UInt64, to target: NodeID, targetHandle: UInt64, targetOffset: UInt64,
        length: UInt64, flags: UInt64, _ context: RequestContext
    ) throws(Errno) -> UInt64

    // Directories
    func opendir(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply
    func readdir(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno)
    func readdirplus(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno)
    func releasedir(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno)
    func fsyncdir(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno)

    func syncfs(_ node: NodeID, _ context: RequestContext) throws(Errno)
}
