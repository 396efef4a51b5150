/// Sizes and limits of a table tree. None of them is part of the format: tables written with others are read just as well.
public struct TableOptions: Sendable {
    /// A data block is closed once its records take this much.
    public var blockSizeBytes = 16 << 10
    /// An output table is closed once its file has this size.
    public var tableSizeBytes = 8 << 20
    /// Runs of level 0 (one per flush) that start a compaction.
    public var levelZeroRunLimit = 4
    /// How much level 1 may hold of one region; each deeper level `levelRatio` times as much.
    public var levelBaseSizeBytes = 32 << 20
    public var levelRatio = 10
    /// zstd's level for data blocks; 0 leaves them as they are.
    public var compressionLevel: Int32 = 1
    public var filterBitsPerKey = 10
    /// Tables whose files are kept open.
    public var openTableLimit = 256
    /// A record between two restart points costs no whole key, but lookups step through them.
    public var restartInterval = 16

    public init() {}
}

/// Bounds that every reader holds a table to. Part of the format.
public enum TableLimit {
    /// Bytes of a record's value.
    public static let valueSizeBytes = 1 << 20
    /// Bytes of a block before compression and sealing.
    static let blockSizeBytes = 4 << 20
}
