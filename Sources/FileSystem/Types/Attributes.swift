/// What stat(2) and statx(2) tell of an inode.
public struct Attributes: Sendable, Equatable {
    public var inode: InodeID
    /// Type and permissions, as `st_mode`.
    public var mode: UInt32
    /// Names of the inode; of a directory 2 and one for each directory in it.
    public var linkCount: UInt32
    public var uid: UInt32
    public var gid: UInt32
    /// Device number of a device node, in Linux' 32-bit form.
    public var deviceNumber: UInt32
    public var sizeBytes: UInt64
    /// Units of 512 bytes that are allocated, `st_blocks`.
    public var blockCount: UInt64
    /// `st_blksize`.
    public var preferredBlockSizeBytes: UInt32
    public var accessTime: Timestamp
    public var modificationTime: Timestamp
    public var changeTime: Timestamp
    public var birthTime: Timestamp
    /// Grows with each change of the inode or its content.
    public var changeCounter: UInt64

    @inlinable public var type: InodeType { InodeType(mode: mode) ?? .regular }
    @inlinable public var permissions: UInt32 { mode & Mode.permissionMask }
}

/// What to change in an inode: everything that is not nil.
public struct AttributeChanges: Sendable, Equatable {
    public enum Time: Sendable, Equatable {
        case now
        case at(Timestamp)
    }

    /// Permission bits (07777); type bits are ignored.
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    /// New size of a regular file.
    public var sizeBytes: UInt64?
    public var accessTime: Time?
    public var modificationTime: Time?
    /// Only a kernel that caches writes sets it; otherwise any change sets it to now.
    public var changeTime: Timestamp?
    /// Clears set-user-ID, and set-group-ID if the group may execute: the kernel asks for it on chown and truncation.
    public var clearsSetIDs = false

    public init() {}

    public var isEmpty: Bool { self == AttributeChanges() }
}
