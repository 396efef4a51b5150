import Records

/// What an inode record says (docs/format/records.md, "inode"), decoded.
struct Inode: Sendable, Equatable {
    /// Type and permissions, as `st_mode`.
    var mode: UInt32
    var flags: InodeFlags = []
    var linkCount: UInt32
    var uid: UInt32
    var gid: UInt32
    var deviceNumber: UInt32 = 0
    /// Of a regular file its size, of a symbolic link its target's length, of a directory the number of its entries.
    var size: UInt64 = 0
    /// Bytes of the file that extents or the inline record hold.
    var allocatedBytes: UInt64 = 0
    /// Of a directory: where it is. 0 for anything else.
    var parent: UInt64 = 0
    var modificationTime: Timestamp
    var changeTime: Timestamp
    var accessTime: Timestamp
    var birthTime: Timestamp
    var changeCounter: UInt64 = 0
    /// Fields that this version does not know, as they came: kept when the record is written again.
    var unknownFields: [UInt8]?

    init(mode: UInt32, linkCount: UInt32, uid: UInt32, gid: UInt32, time: Timestamp) {
        self.mode = mode
        self.linkCount = linkCount
        self.uid = uid
        self.gid = gid
        modificationTime = time
        changeTime = time
        accessTime = time
        birthTime = time
    }

    var type: InodeType { InodeType(mode: mode) ?? .regular }
    var isDirectory: Bool { mode & Mode.typeMask == InodeType.directory.modeBits }
    var isRegular: Bool { mode & Mode.typeMask == InodeType.regular.modeBits }

    /// The inode or what it stands for changed at `time`.
    mutating func touch(_ time: Timestamp) {
        changeTime = time
        changeCounter &+= 1
    }

    /// The content (of a directory: the entries) changed at `time`.
    mutating func touchContent(_ time: Timestamp) {
        modificationTime = time
        touch(time)
    }

    /// A directory in this one is gone. A damaged count stays what it may be at least.
    mutating func dropDirectoryLink() { if linkCount > 2 { linkCount -= 1 } }

    /// As ext4 does when someone without the right to keep them writes, truncates or changes the owner.
    mutating func clearSetIDs() {
        guard isRegular else { return }
        mode &= ~Mode.setUserID
        if mode & Mode.groupExecute != 0 { mode &= ~Mode.setGroupID }
    }

    func attributes(_ id: InodeID) -> Attributes {
        var sizeBytes = size
        var allocated = allocatedBytes
        if isDirectory {
            // What directories of other file systems weigh: 32 bytes an entry, in whole blocks.
            sizeBytes = max(4096, (min(size, 1 << 40) * 32 + 4095) & ~4095)
            allocated = sizeBytes
        }
        return Attributes(
            inode: id, mode: mode, linkCount: linkCount, uid: uid, gid: gid, deviceNumber: deviceNumber, sizeBytes: sizeBytes,
            blockCount: allocated / 4096 * 8 + (allocated % 4096 == 0 ? 0 : 8), preferredBlockSizeBytes: 4096, accessTime: accessTime,
            modificationTime: modificationTime, changeTime: changeTime, birthTime: birthTime, changeCounter: changeCounter)
    }
}

/// Facts of an inode that are kept in its record; the numbers are part of the format.
struct InodeFlags: OptionSet, Sendable {
    var rawValue: UInt32

    /// There may be xattr records.
    static let hasXattrs = InodeFlags(rawValue: 1)
    /// The content is the inline record, and there are no extents.
    static let inline = InodeFlags(rawValue: 2)
    /// There may be extents past the size: reserved ones, or with `staleTail` ones with data.
    static let extentsPastSize = InodeFlags(rawValue: 4)
    /// A truncation is not finished: extents past the size must go before the size grows.
    static let staleTail = InodeFlags(rawValue: 8)
    /// There is an xattr `security.capability`, which goes with the next write.
    static let hasCapability = InodeFlags(rawValue: 16)
    /// A directory with an xattr `system.posix_acl_default`.
    static let hasDefaultACL = InodeFlags(rawValue: 32)
    /// There is an xattr `system.posix_acl_access`, to be kept in step with the mode.
    static let hasAccessACL = InodeFlags(rawValue: 64)
}
