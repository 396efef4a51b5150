import MetadataStore
public import Syscalls

/// How a file system behaves; not kept in the volume.
public struct FileSystemOptions: Sendable {
    /// Nothing may change: EROFS.
    public var readOnly = false
    public var accessTimes = AccessTimePolicy()
    /// Content up to this size is kept in a metadata record, 0 to 16,384.
    public var inlineLimitBytes = 2048
    /// Decoded inodes that are kept in memory.
    public var cachedInodeLimit = 65_536
    /// Names that one inode can have, or directories in a directory and 2.
    public var maximumLinkCount: UInt32 = .max
    /// The number of this writer, the upper part of the inode numbers it gives out.
    public var writer: UInt16 = 0
    /// Records that one batch of work without a bound (deleting or truncating a large file) may touch, at least 1.
    public var batchRecordLimit = 1000
    /// Hand the store what must hold for a batch. Off where this process is the only writer and its locks make it hold.
    public var statesPreconditions = false

    public init() {}
}

/// What reading does to access times. Only reads that reach the file system count: it knows nothing of what others cache.
public struct AccessTimePolicy: Sendable, Equatable {
    public enum Rule: Sendable, Equatable {
        case never
        /// Once after each change, and once a day: as `relatime` of mount(8) says.
        case relative
        case always
    }

    public var rule: Rule
    /// Whether listing a directory counts.
    public var includesDirectories: Bool

    public init(_ rule: Rule = .relative, includesDirectories: Bool = true) {
        self.rule = rule
        self.includesDirectories = includesDirectories
    }

    public static let never = AccessTimePolicy(.never)
}

/// What a file system is given from outside, so that tests can replace it.
public struct FileSystemEnvironment: Sendable {
    /// A keyed hash of a name; 63 bits are used. The same for the life of the volume.
    public var nameHash: @Sendable (UnsafeRawBufferPointer) -> UInt64
    public var now: @Sendable () -> Timestamp
    /// Room of the storage, for statfs.
    public var capacity: @Sendable () throws(Failure) -> VolumeCapacity
    /// Told once of each failure of a store that a caller only sees as an error number.
    public var log: @Sendable (Failure) -> Void
    /// Told of every change of what a file counts for; see `UsageObserver`.
    package var usageObserver: (any UsageObserver)?

    public init(
        nameHash: @escaping @Sendable (UnsafeRawBufferPointer) -> UInt64,
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() },
        capacity: @escaping @Sendable () throws(Failure) -> VolumeCapacity,
        log: @escaping @Sendable (Failure) -> Void
    ) {
        self.nameHash = nameHash
        self.now = now
        self.capacity = capacity
        self.log = log
    }
}
