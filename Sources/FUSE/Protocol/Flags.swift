/// What kernel and server agree on in INIT. Bits from 32 on travel in `flags2`.
public struct InitFlags: OptionSet, Sendable {
    public var rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(bit: Int) { rawValue = 1 << UInt64(bit) }

    public static let asyncRead = InitFlags(bit: 0)
    public static let posixLocks = InitFlags(bit: 1)
    /// Never together with no-open: the truncation is lost.
    public static let atomicTruncate = InitFlags(bit: 3)
    /// "." and ".." are looked up, so that file handles resolve after the kernel forgot a node.
    public static let exportSupport = InitFlags(bit: 4)
    public static let bigWrites = InitFlags(bit: 5)
    /// The server applies the umask.
    public static let dontMask = InitFlags(bit: 6)
    public static let flockLocks = InitFlags(bit: 10)
    public static let autoInvalidateData = InitFlags(bit: 12)
    public static let readdirplus = InitFlags(bit: 13)
    public static let readdirplusAuto = InitFlags(bit: 14)
    public static let asyncDirectIO = InitFlags(bit: 15)
    public static let writebackCache = InitFlags(bit: 16)
    /// OPEN may be answered with ENOSYS: no open and release requests from then on.
    public static let noOpenSupport = InitFlags(bit: 17)
    /// Lookups and listings of one directory arrive in parallel.
    public static let parallelDirectoryOperations = InitFlags(bit: 18)
    public static let handleKillPrivileges = InitFlags(bit: 19)
    public static let posixACL = InitFlags(bit: 20)
    public static let abortError = InitFlags(bit: 21)
    public static let maxPages = InitFlags(bit: 22)
    public static let cacheSymlinks = InitFlags(bit: 23)
    public static let noOpendirSupport = InitFlags(bit: 24)
    public static let explicitInvalidateData = InitFlags(bit: 25)
    /// The kernel says when set-user-ID and set-group-ID bits go; the server clears them.
    public static let handleKillPrivilegesV2 = InitFlags(bit: 28)
    public static let setxattrExtended = InitFlags(bit: 29)
    /// The message has `flags2`.
    public static let initExtended = InitFlags(bit: 30)
    public static let createSupplementaryGroup = InitFlags(bit: 34)
    public static let directIOAllowMmap = InitFlags(bit: 36)
    public static let allowIDMap = InitFlags(bit: 40)
    public static let overIOUring = InitFlags(bit: 41)
}

/// FUSE_WRITE_*
public struct WriteFlags: OptionSet, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Comes from the page cache, so the context says nothing about who wrote.
    public static let cache = WriteFlags(rawValue: 1 << 0)
    /// Set-user-ID and set-group-ID bits go with this write.
    public static let killPrivileges = WriteFlags(rawValue: 1 << 2)
}

/// FOPEN_*
public struct OpenReplyFlags: OptionSet, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let directIO = OpenReplyFlags(rawValue: 1 << 0)
    public static let keepCache = OpenReplyFlags(rawValue: 1 << 1)
    public static let nonSeekable = OpenReplyFlags(rawValue: 1 << 2)
    public static let cacheDirectory = OpenReplyFlags(rawValue: 1 << 3)
    public static let noFlush = OpenReplyFlags(rawValue: 1 << 5)
    public static let parallelDirectWrites = OpenReplyFlags(rawValue: 1 << 6)
}

/// RENAME_* of renameat2(2).
public struct RenameFlags: OptionSet, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noReplace = RenameFlags(rawValue: 1 << 0)
    public static let exchange = RenameFlags(rawValue: 1 << 1)
    public static let whiteout = RenameFlags(rawValue: 1 << 2)
}

/// FATTR_*: which fields of a SETATTR count.
package struct SetattrValid: OptionSet {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    static let mode = SetattrValid(rawValue: 1 << 0)
    static let uid = SetattrValid(rawValue: 1 << 1)
    static let gid = SetattrValid(rawValue: 1 << 2)
    static let size = SetattrValid(rawValue: 1 << 3)
    static let atime = SetattrValid(rawValue: 1 << 4)
    static let mtime = SetattrValid(rawValue: 1 << 5)
    static let handle = SetattrValid(rawValue: 1 << 6)
    static let atimeNow = SetattrValid(rawValue: 1 << 7)
    static let mtimeNow = SetattrValid(rawValue: 1 << 8)
    static let ctime = SetattrValid(rawValue: 1 << 10)
    static let killPrivileges = SetattrValid(rawValue: 1 << 11)
}
