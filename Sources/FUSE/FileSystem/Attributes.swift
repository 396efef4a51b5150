/// What the kernel calls a file by. The root is 1.
public struct NodeID: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let root = NodeID(1)
}

/// A point in time since 1970; nanoseconds are 0 to 999,999,999 also before it.
public struct FileTime: Hashable, Sendable {
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// How long the kernel may believe what it is told.
public struct Validity: Hashable, Sendable {
    public var seconds: UInt64
    public var nanoseconds: UInt32

    public init(seconds: UInt64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static let zero = Validity(seconds: 0)
    /// Until it is told otherwise. (A year: the kernel computes in jiffies.)
    public static let forever = Validity(seconds: 365 * 86400)
}

/// What stat(2) tells of a file.
public struct Attributes: Hashable, Sendable {
    public var inode: UInt64
    public var sizeBytes: UInt64
    /// In units of 512 bytes.
    public var blocks: UInt64
    public var atime: FileTime
    public var mtime: FileTime
    public var ctime: FileTime
    /// Type and permissions.
    public var mode: UInt32
    public var linkCount: UInt32
    public var uid: UInt32
    public var gid: UInt32
    /// Of device files, in the kernel's 32-bit encoding.
    public var rdev: UInt32
    public var blockSizeBytes: UInt32

    public init(
        inode: UInt64, sizeBytes: UInt64 = 0, blocks: UInt64 = 0, atime: FileTime, mtime: FileTime, ctime: FileTime, mode: UInt32,
        linkCount: UInt32 = 1, uid: UInt32 = 0, gid: UInt32 = 0, rdev: UInt32 = 0, blockSizeBytes: UInt32 = 4096
    ) {
        self.inode = inode
        self.sizeBytes = sizeBytes
        self.blocks = blocks
        self.atime = atime
        self.mtime = mtime
        self.ctime = ctime
        self.mode = mode
        self.linkCount = linkCount
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.blockSizeBytes = blockSizeBytes
    }
}

/// A node as an answer to a lookup or a creation: it adds one to the kernel's references, which FORGET takes back.
public struct Entry: Sendable {
    public var node: NodeID
    /// Tells apart files that had the same node one after another.
    public var generation: UInt64
    public var attributes: Attributes
    public var entryValidity: Validity
    public var attributesValidity: Validity

    public init(
        node: NodeID, generation: UInt64 = 0, attributes: Attributes, entryValidity: Validity = .forever,
        attributesValidity: Validity = .forever
    ) {
        self.node = node
        self.generation = generation
        self.attributes = attributes
        self.entryValidity = entryValidity
        self.attributesValidity = attributesValidity
    }

    /// "There is no such file", which the kernel may remember.
    public static func negative(_ validity: Validity) -> Entry {
        let epoch = FileTime(seconds: 0)
        return Entry(
            node: NodeID(0), attributes: Attributes(inode: 0, atime: epoch, mtime: epoch, ctime: epoch, mode: 0),
            entryValidity: validity, attributesValidity: .zero)
    }
}

/// What GETATTR and SETATTR answer.
public struct AttributesReply: Sendable {
    public var attributes: Attributes
    public var validity: Validity

    public init(_ attributes: Attributes, validity: Validity = .forever) {
        self.attributes = attributes
        self.validity = validity
    }
}

/// What STATX answers: the attributes and when the file was born.
public struct StatxReply: Sendable {
    public var attributes: Attributes
    public var birthTime: FileTime?
    /// STATX_ATTR_* that hold, and those that the file system knows of.
    public var flags: UInt64 = 0
    public var supportedFlags: UInt64 = 0
    public var validity: Validity

    public init(_ attributes: Attributes, birthTime: FileTime?, validity: Validity = .forever) {
        self.attributes = attributes
        self.birthTime = birthTime
        self.validity = validity
    }
}

/// What an open file is answered with.
public struct OpenReply: Sendable {
    public var handle: UInt64
    public var flags: OpenReplyFlags

    public init(handle: UInt64 = 0, flags: OpenReplyFlags = []) {
        self.handle = handle
        self.flags = flags
    }
}

/// What LSEEK is answered with.
public enum SeekReply: Sendable, Equatable {
    case offset(UInt64)
    /// The kernel may hold bytes of this range that it has not written yet, on which the answer depends: it passes LSEEK on without
    /// a look at what it has cached. It is to write them, and then the file system is asked again.
    case afterWriteback(Range<UInt64>)
}

/// What statfs(2) tells.
public struct Statistics: Sendable {
    /// Blocks are of `fragmentSizeBytes`.
    public var blocks: UInt64
    public var freeBlocks: UInt64
    public var availableBlocks: UInt64
    public var files: UInt64
    public var freeFiles: UInt64
    public var blockSizeBytes: UInt32
    public var fragmentSizeBytes: UInt32
    public var nameLengthBytes: UInt32

    public init(
        blocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64, files: UInt64, freeFiles: UInt64, blockSizeBytes: UInt32 = 4096,
        fragmentSizeBytes: UInt32 = 4096, nameLengthBytes: UInt32 = 255
    ) {
        self.blocks = blocks
        self.freeBlocks = freeBlocks
        self.availableBlocks = availableBlocks
        self.files = files
        self.freeFiles = freeFiles
        self.blockSizeBytes = blockSizeBytes
        self.fragmentSizeBytes = fragmentSizeBytes
        self.nameLengthBytes = nameLengthBytes
    }
}

/// A time that SETATTR sets.
public enum TimeChange: Hashable, Sendable {
    case now
    case to(FileTime)
}

/// What SETATTR asks for; nil leaves a field as it is.
public struct AttributeChanges: Hashable, Sendable {
    /// Permissions; the type in it is to be ignored.
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public var sizeBytes: UInt64?
    public var atime: TimeChange?
    public var mtime: TimeChange?
    /// Sent only with the writeback cache, where the kernel keeps the time.
    public var ctime: FileTime?
    /// Set-user-ID, and set-group-ID of a group-executable file, go.
    public var killsPrivileges = false

    public init() {}
}
