/// Something in the records that cannot be.
public struct CheckFinding: Sendable, Equatable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        /// A record's value cannot be read.
        case unreadableRecord
        /// Records that belong to an inode that is not there.
        case recordsWithoutInode
        /// An inode number that the counter could give out again.
        case inodeNumberNotCovered
        /// A link count that is not the number of names (of a directory: 2 and its directories).
        case linkCount
        /// A directory's number of entries is wrong.
        case entryCount
        /// An entry with a name that none can have, or under a hash that is not the name's.
        case entryName
        /// An entry leads to no inode, or to one of another type.
        case entryTarget
        /// A directory's parent is not the one whose entry leads to it, or it cannot be reached from the root.
        case directoryParent
        /// Extents that overlap, or are where none can be.
        case extent
        /// The inode's number of allocated bytes is not that of its extents or inline content.
        case allocatedBytes
        case inlineContent
        case extendedAttributes
        /// An inode without a name has no orphan record, or one with a name has one.
        case orphan
        /// A segment's number of live bytes is not what the extents say.
        case liveBytes
    }

    public var kind: Kind
    /// The inode that it is about; nil for a segment's.
    public var inode: InodeID?
    public var detail: String

    public var description: String { (inode.map { "\($0): " } ?? "") + detail }
}
