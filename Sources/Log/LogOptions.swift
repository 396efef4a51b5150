/// What of the log's working can be chosen when it is opened.
public struct LogOptions: Sendable {
    public var isReadOnly = false
    public var segmentSizeBytes: UInt64 = 64 << 20
    /// Decrypted blocks of tables kept in memory.
    public var blockCacheBytes = 48 << 20
    /// Records not yet in tables; beyond it they are written to one. Writers wait beyond four times as much.
    public var memoryTableBytes = 16 << 20
    /// Log after the last checkpoint; beyond it a new one is made, so that mounting after a crash stays quick.
    public var checkpointIntervalBytes: UInt64 = 512 << 20
    /// Changes are committed at the latest after this time.
    public var commitIntervalSeconds = 5.0
    /// Data and commits that may be lost in a crash; a writer beyond it makes a commit itself.
    public var maximumUnsyncedBytes: UInt64 = 128 << 20
    /// After so long without a commit there is time to give space back that is not wanted yet.
    public var idleSeconds = 10.0
    public var openSegments = 256
    /// Room kept for deletions and commits on a full disk: at most this, and at most a sixteenth of the storage.
    public var reserveBytes: UInt64 = 64 << 20
    /// Writers that wait at a time for the cleaner to make room; others are told at once that there is none.
    public var roomWaiters = 64
    /// A segment with a smaller part of live bytes is cleaned.
    public var cleaningThreshold = 0.6
    /// Goes back to an older checkpoint, or to the last commit before damage, where the newest state cannot be read. What was acknowledged
    /// after it is lost then, so nobody does that without being asked to.
    public var acceptsRollback = false
    /// Runs commits, checkpoints, compaction and cleaning in threads of their own. Tests that enumerate states turn it off.
    public var hasHousekeeper = true
    /// Gives the revision of the header that the volume has now; the head remembers it. Called at each checkpoint.
    public var headerRevision: @Sendable () -> UInt64 = { 0 }
    /// Told of what is on stable storage, by a thread of the background: once commits pause for some time, and while they go on at
    /// most this often.
    public var didBecomeDurable: @Sendable (DurableState) -> Void = { _ in }
    public var tellIntervalSeconds = 3.0
    public var tellPauseSeconds = 0.5
    /// Tells of failures in the background: one line.
    public var report: @Sendable (String) -> Void = { _ in }

    public init() {}
}

/// What the log can say of itself.
public struct LogStatistics: Sendable, Equatable {
    public var segments = 0
    public var segmentBytes: UInt64 = 0
    public var liveBytes: Int64 = 0
    public var tables = 0
    public var tableBytes: UInt64 = 0
    public var records: UInt64 = 0
    public var generation: UInt64 = 0
    public var commits: UInt64 = 0
    public var checkpoints: UInt64 = 0
    public var cleanedSegments: UInt64 = 0
    public var cleanedBytes: UInt64 = 0
    public var writtenBytes: UInt64 = 0
    public var unsyncedBytes: UInt64 = 0
}
