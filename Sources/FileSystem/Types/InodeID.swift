/// The number of an inode, also the FUSE node id and `st_ino`: the writer in the upper 16 bits, its counter below. Never
/// given out twice.
public struct InodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var rawValue: UInt64

    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The root directory of the volume.
    public static let root = InodeID(1)

    @inlinable
    public static func < (a: InodeID, b: InodeID) -> Bool { a.rawValue < b.rawValue }

    public var description: String { "inode \(rawValue)" }
}

/// Who asks for an operation that makes an inode.
public struct Caller: Sendable, Equatable {
    public var uid: UInt32
    public var gid: UInt32
    /// Bits to take away from the mode of what is made, unless the directory has a default ACL. 0 where it was applied already.
    public var umask: UInt32

    public init(uid: UInt32, gid: UInt32, umask: UInt32 = 0) {
        self.uid = uid
        self.gid = gid
        self.umask = umask
    }
}
