public import SystemPackage

/// What a file system does not implement.
extension FUSEFileSystem {
    public func started(_ connection: Connection, _ notifier: Notifier) {}
    public func destroy() {}
    public func lookup(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) -> Entry { throw .noFunction }
    public func forget(_ list: ForgetList) {}
    public func symlink(_ parent: NodeID, _ name: NameBytes, target: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        throw .noFunction
    }
    public func mknod(_ parent: NodeID, _ name: NameBytes, mode: UInt32, rdev: UInt32, _ context: RequestContext) throws(Errno) -> Entry {
        throw .noFunction
    }
    public func mkdir(_ parent: NodeID, _ name: NameBytes, mode: UInt32, _ context: RequestContext) throws(Errno) -> Entry {
        throw .noFunction
    }
    public func unlink(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func rmdir(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func rename(
        _ parent: NodeID, _ name: NameBytes, to newParent: NodeID, _ newName: NameBytes, _ flags: RenameFlags, _ context: RequestContext
    ) throws(Errno) { throw .noFunction }
    public func link(_ node: NodeID, to newParent: NodeID, _ newName: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        throw .noFunction
    }
    public func getattr(_ node: NodeID, handle: UInt64?, _ context: RequestContext) throws(Errno) -> AttributesReply { throw .noFunction }
    public func setattr(_ node: NodeID, handle: UInt64?, _ changes: AttributeChanges, _ context: RequestContext) throws(Errno)
        -> AttributesReply
    { throw .noFunction }
    public func statx(_ node: NodeID, handle: UInt64?, flags: UInt32, mask: UInt32, _ context: RequestContext) throws(Errno) -> StatxReply {
        throw .noFunction
    }
    public func readlink(_ node: NodeID, into target: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int {
        throw .noFunction
    }
    public func access(_ node: NodeID, mask: UInt32, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func setxattr(
        _ node: NodeID, _ name: NameBytes, value: UnsafeRawBufferPointer, flags: UInt32, killsSetGroupID: Bool, _ context: RequestContext
    )
        throws(Errno)
    { throw .noFunction }
    public func getxattr(_ node: NodeID, _ name: NameBytes, into value: UnsafeMutableRawBufferPointer, _ context: RequestContext)
        throws(Errno) -> Int
    { throw .noFunction }
    public func listxattr(_ node: NodeID, into names: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int {
        throw .noFunction
    }
    public func removexattr(_ node: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func statfs(_ node: NodeID, _ context: RequestContext) throws(Errno) -> Statistics { throw .noFunction }
    public func open(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply { throw .noFunction }
    public func create(_ parent: NodeID, _ name: NameBytes, mode: UInt32, flags: UInt32, _ context: RequestContext) throws(Errno) -> (
        Entry, OpenReply
    ) { throw .noFunction }
    public func tmpfile(_ parent: NodeID, mode: UInt32, flags: UInt32, _ context: RequestContext) throws(Errno) -> (Entry, OpenReply) {
        throw .noFunction
    }
    public func read(_ node: NodeID, handle: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext)
        throws(Errno) -> Int
    { throw .noFunction }
    public func write(
        _ node: NodeID, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer, _ flags: WriteFlags, _ context: RequestContext
    ) throws(Errno) -> Int { throw .noFunction }
    public func flush(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func release(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func fsync(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func fallocate(_ node: NodeID, handle: UInt64, mode: UInt32, offset: UInt64, length: UInt64, _ context: RequestContext)
        throws(Errno)
    { throw .noFunction }
    public func lseek(
        _ node: NodeID, handle: UInt64, offset: UInt64, whence: UInt32, writtenBack: Range<UInt64>, _ context: RequestContext
    ) throws(Errno) -> SeekReply { throw .noFunction }
    public func copyFileRange(
        _ source: NodeID, handle: UInt64, offset: UInt64, to target: NodeID, targetHandle: UInt64, targetOffset: UInt64, length: UInt64,
        flags: UInt64, _ context: RequestContext
    ) throws(Errno) -> UInt64 { throw .noFunction }
    public func opendir(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply { throw .noFunction }
    public func readdir(_ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext)
        throws(Errno)
    { throw .noFunction }
    public func readdirplus(_ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext)
        throws(Errno)
    { throw .noFunction }
    public func releasedir(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func fsyncdir(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) { throw .noFunction }
    public func syncfs(_ node: NodeID, _ context: RequestContext) throws(Errno) { throw .noFunction }
}
