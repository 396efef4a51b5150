public import BlobStorage
import Sealing
import Tables

/// What opening a volume found.
struct RecoveredState {
    /// Tells what a dead session left behind.
    var strays: Strays
    var tree: TableTree
    /// The last commit that counts.
    var mark: CommitMark
    var head: Head?
    var history: [CommitMark]
    var segments: [UInt64: SegmentFacts]
    var nextSegment: UInt64
    /// Marks of the commits that were replayed, oldest first.
    var replayed: [CommitMark] = []
    /// What follows the last commit that counts.
    var rest = LogRest.nothing
    /// Whether changes were replayed that are in no table yet.
    var hasReplayedChanges = false
    /// Segments with commits after the head was written, which a dead writer may not have synced.
    var unsyncedSegments: [BlobID] = []
    /// If the last session did not close: the segment in which the log ended, and where. What follows it there was never acknowledged.
    var tornTail: LogPosition?
    /// Whether the last session ended in order.
    var isClean = true
}

/// What stands behind the last commit that counts. After a crash it may be anything that was never acknowledged; only who remembers a
/// later commit knows better.
public enum LogRest: Equatable, Sendable {
    case nothing
    /// Bytes that do not authenticate, or that do not follow from what came before.
    case unreadable(BlobID, offset: UInt64)
    /// The segment that goes on is not there.
    case missingSegment(BlobID)
}
