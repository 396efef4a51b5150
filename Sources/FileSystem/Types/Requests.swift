/// Flags of renameat2(2), with Linux' numbers.
public struct RenameFlags: OptionSet, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Fail with EEXIST rather than replace.
    public static let noReplace = RenameFlags(rawValue: 1)
    /// Both names exist and change places.
    public static let exchange = RenameFlags(rawValue: 2)
    /// Leave a character device 0:0 under the old name.
    public static let whiteout = RenameFlags(rawValue: 4)
}

/// What to do if the attribute is there (not there) already, setxattr(2).
public enum ExtendedAttributeMode: Sendable {
    case createOrReplace
    /// EEXIST if it is there.
    case create
    /// ENODATA if it is not.
    case replace
}

/// Modes of fallocate(2).
public enum AllocationMode: Sendable {
    /// Reserve the holes of the range; the file grows to its end unless `keepSize`.
    case allocate(keepSize: Bool)
    /// The range reads as zeros and takes no room; the size stays.
    case punchHole
    /// The range reads as zeros and stays reserved.
    case zeroRange(keepSize: Bool)
}

public enum SeekTarget: Sendable {
    case data
    case hole
}

/// What a search for data or a hole finds.
public struct SeekResult: Sendable, Equatable {
    /// Nil if there is none: ENXIO.
    public var offset: UInt64?
    /// The bytes, in the file or behind its end, that the result takes to be empty. Who has more to write there has another result.
    public var emptyRange: Range<UInt64>
}

/// One entry that a listing shows; valid during the call only.
public struct DirectoryEntry {
    public var name: UnsafeRawBufferPointer
    public var inode: InodeID
    public var type: InodeType
    /// Continue after this entry by passing this; 1 to 2^63-1.
    public var cookie: UInt64
    /// Where attributes were asked for, and not for "." and "..".
    public var attributes: Attributes?
}

/// What statfs(2) tells.
public struct VolumeStatistics: Sendable, Equatable {
    public var blockSizeBytes: UInt32
    public var totalBlocks: UInt64
    public var freeBlocks: UInt64
    public var availableBlocks: UInt64
    public var totalInodes: UInt64
    public var freeInodes: UInt64
    public var maximumNameBytes: UInt32
}

/// Room of the storage below, in bytes.
public struct VolumeCapacity: Sendable, Equatable {
    public var totalBytes: UInt64
    /// What may still be written.
    public var availableBytes: UInt64

    public init(totalBytes: UInt64, availableBytes: UInt64) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
    }
}
