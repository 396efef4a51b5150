public import ChunkStore
public import MetadataStore
public import Syscalls
public import SystemPackage

/// A POSIX file system over metadata records and chunks of data: what ext4 does, by inode and raw-byte name.
///
/// Access rights are the caller's matter (the kernel's, with `default_permissions`). Thread-safe: every operation is atomic
/// towards the others. Everything that throws gives the error number that the system call would give.
public final class FileSystem: Sendable {
    public let options: FileSystemOptions
    let metadata: any MetadataStore
    let chunks: any ChunkStore
    let environment: FileSystemEnvironment

    /// Opens the file system that the stores hold. Fails if they hold none (`format` makes one).
    public init(
        metadata: any MetadataStore, chunks: any ChunkStore, environment: FileSystemEnvironment, options: FileSystemOptions = .init()
    ) throws(Failure) {
        self.metadata = metadata
        self.chunks = chunks
        self.environment = environment
        self.options = options
    }

    /// Makes the root directory of an empty volume.
    public static func format(_ metadata: any MetadataStore, owner: Caller, mode: UInt32 = 0o755, now: Timestamp) throws(Failure) {
        throw Failure(.inputOutput, "not yet")
    }

    /// Deletes what was unlinked but open when the volume was last left. Call once after opening for writing.
    /// - Returns: how many inodes went.
    @discardableResult
    public func recoverOrphans() throws(Failure) -> Int { throw Failure(.inputOutput, "not yet") }
}

// MARK: Names and inodes
extension FileSystem {
    /// The inode of a name in a directory; "." and ".." are known. ENOENT, ENOTDIR, ENAMETOOLONG.
    /// - Parameter retaining: adds one to the inode's lookup count, atomically with finding it.
    public func lookup(_ directory: InodeID, _ name: UnsafeRawBufferPointer, retaining: Bool) throws(Errno) -> Attributes {
        throw .noFunction
    }

    /// ESTALE if there is no such inode.
    public func attributes(_ inode: InodeID) throws(Errno) -> Attributes { throw .noFunction }

    public func setAttributes(_ inode: InodeID, _ changes: AttributeChanges) throws(Errno) -> Attributes { throw .noFunction }

    /// Makes a regular file, FIFO, socket or device. `mode` holds type and permissions; no type bits mean a regular file.
    public func makeNode(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, mode: UInt32, deviceNumber: UInt32 = 0, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes { throw .noFunction }

    public func makeDirectory(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, mode: UInt32, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes { throw .noFunction }

    public func makeSymbolicLink(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes { throw .noFunction }

    /// A regular file without a name (O_TMPFILE) in the directory's place. It can be linked. Its lookup count is 1.
    public func makeUnnamed(_ directory: InodeID, mode: UInt32, caller: Caller) throws(Errno) -> Attributes { throw .noFunction }

    /// Copies the target into `output`, cut to its size, and returns the target's length (1 to 4095).
    public func readSymbolicLink(_ inode: InodeID, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Int { throw .noFunction }

    /// Removes a name of anything but a directory.
    public func unlink(_ directory: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) { throw .noFunction }

    public func removeDirectory(_ directory: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) { throw .noFunction }

    /// - Parameter caller: owns the whiteout, if one is asked for.
    public func rename(
        _ oldDirectory: InodeID, _ oldName: UnsafeRawBufferPointer, to newDirectory: InodeID, _ newName: UnsafeRawBufferPointer,
        flags: RenameFlags = [], caller: Caller = Caller(uid: 0, gid: 0)
    ) throws(Errno) { throw .noFunction }

    public func link(_ inode: InodeID, _ directory: InodeID, _ name: UnsafeRawBufferPointer, retaining: Bool) throws(Errno) -> Attributes {
        throw .noFunction
    }

    /// Shows the entries after `cookie` (0: from the start), "." and ".." first, until `body` says false (that entry was not
    /// taken). Stable: an entry that is there all the time is shown once, whatever is made or removed meanwhile.
    /// - Parameter retaining: adds one to the lookup count of each inode that was taken, but "." and "..". Needs `withAttributes`.
    public func listDirectory(
        _ directory: InodeID, after cookie: UInt64, withAttributes: Bool, retaining: Bool, _ body: (DirectoryEntry) -> Bool
    ) throws(Errno) { throw .noFunction }

    /// Adds one to the lookup count: the inode outlives its last name until it is forgotten as often.
    public func retain(_ inode: InodeID) throws(Errno) { throw .noFunction }

    /// Takes from the lookup count. An inode without name and count is deleted.
    public func forget(_ inode: InodeID, count: UInt64) {}
}

// MARK: Content
extension FileSystem {
    /// Fills `output` from `offset`; fewer bytes only at the end of the file.
    public func read(_ inode: InodeID, at offset: UInt64, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        throw .noFunction
    }

    /// Writes all of `data`, growing the file. EFBIG past 2^63-1.
    /// - Parameter clearsSetIDs: as the kernel's FUSE_WRITE_KILL_SUIDGID asks.
    public func write(_ inode: InodeID, at offset: UInt64, from data: UnsafeRawBufferPointer, clearsSetIDs: Bool = false) throws(Errno) {
        throw .noFunction
    }

    /// Returns when all changes of the inode (of a directory: of its entries too) are on stable storage.
    public func synchronize(_ inode: InodeID, dataOnly: Bool) throws(Errno) { throw .noFunction }

    /// Returns when all changes of the volume are on stable storage.
    public func synchronizeAll() throws(Errno) { throw .noFunction }

    /// fallocate(2).
    public func allocate(_ inode: InodeID, offset: UInt64, length: UInt64, mode: AllocationMode) throws(Errno) { throw .noFunction }

    /// The first byte of data, or of a hole (the end of the file is one), at or after `offset`. ENXIO if there is none.
    public func seek(_ inode: InodeID, from offset: UInt64, to target: SeekTarget) throws(Errno) -> UInt64 { throw .noFunction }

    /// Copies inside the volume; returns the number of bytes, fewer at the end of the source. EINVAL if ranges of one file overlap.
    public func copyRange(
        from source: InodeID, at sourceOffset: UInt64, to target: InodeID, at targetOffset: UInt64, length: UInt64,
        clearsSetIDs: Bool = false
    ) throws(Errno) -> UInt64 { throw .noFunction }
}

// MARK: Extended attributes and the volume
extension FileSystem {
    /// The value's size in bytes; it is copied into `output` unless that is empty. ENODATA; ERANGE if `output` is too small.
    public func extendedAttribute(
        _ inode: InodeID, _ name: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int { throw .noFunction }

    /// - Parameter clearsSetGroupID: as the kernel's FUSE_SETXATTR_ACL_KILL_SGID asks.
    public func setExtendedAttribute(
        _ inode: InodeID, _ name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, mode: ExtendedAttributeMode,
        clearsSetGroupID: Bool = false
    ) throws(Errno) { throw .noFunction }

    /// The size in bytes of all names, each ended by a NUL; they are copied into `output` unless that is empty.
    public func listExtendedAttributes(_ inode: InodeID, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        throw .noFunction
    }

    public func removeExtendedAttribute(_ inode: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) { throw .noFunction }

    public func statistics() throws(Errno) -> VolumeStatistics { throw .noFunction }
}
