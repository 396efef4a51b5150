import FUSE
import FileSystem
import Glibc
import SystemPackage

extension KernelAttributes {
    init(_ attributes: InodeAttributes) {
        self.init(
            inode: attributes.inode.rawValue, sizeBytes: attributes.sizeBytes, blocks: attributes.blockCount,
            atime: FileTime(attributes.accessTime), mtime: FileTime(attributes.modificationTime),
            ctime: FileTime(attributes.changeTime), mode: attributes.mode, linkCount: attributes.linkCount, uid: attributes.uid,
            gid: attributes.gid, rdev: attributes.deviceNumber, blockSizeBytes: attributes.preferredBlockSizeBytes)
    }
}

extension FileTime {
    init(_ time: Timestamp) { self.init(seconds: time.seconds, nanoseconds: time.nanoseconds) }
}

extension Timestamp {
    init(_ time: FileTime) { self.init(seconds: time.seconds, nanoseconds: time.nanoseconds) }
}

extension InodeID {
    init(_ node: NodeID) { self.init(node.rawValue) }
}

extension NodeID {
    init(_ inode: InodeID) { self.init(inode.rawValue) }
}

extension Caller {
    init(_ context: RequestContext) { self.init(uid: context.uid, gid: context.gid, umask: context.umask) }
}

extension InodeChanges {
    init(_ changes: KernelChanges) {
        self.init()
        mode = changes.mode.map { $0 & Mode.permissionMask }
        uid = changes.uid
        gid = changes.gid
        sizeBytes = changes.sizeBytes
        accessTime = changes.atime.map(Time.init)
        modificationTime = changes.mtime.map(Time.init)
        changeTime = changes.ctime.map { Timestamp($0) }
        clearsSetIDs = changes.killsPrivileges
    }
}

extension InodeChanges.Time {
    init(_ change: TimeChange) {
        switch change {
        case .now: self = .now
        case .to(let time): self = .at(Timestamp(time))
        }
    }
}

extension AllocationMode {
    private static let keepSizeFlag: UInt32 = 1
    private static let punchHoleFlag: UInt32 = 2
    private static let zeroRangeFlag: UInt32 = 16

    /// From the mode of fallocate(2); EOPNOTSUPP for those that move data.
    init(kernel mode: UInt32) throws(Errno) {
        switch mode {
        case 0: self = .allocate(keepSize: false)
        case Self.keepSizeFlag: self = .allocate(keepSize: true)
        case Self.punchHoleFlag | Self.keepSizeFlag: self = .punchHole
        case Self.zeroRangeFlag: self = .zeroRange(keepSize: false)
        case Self.zeroRangeFlag | Self.keepSizeFlag: self = .zeroRange(keepSize: true)
        default: throw Errno(rawValue: EOPNOTSUPP)
        }
    }
}

extension SeekTarget {
    /// From `whence` of lseek(2); the kernel does the other kinds itself.
    init(kernel whence: UInt32) throws(Errno) {
        switch whence {
        case 3: self = .data
        case 4: self = .hole
        default: throw .invalidArgument
        }
    }
}

extension ExtendedAttributeMode {
    /// From the flags of setxattr(2).
    init(kernel flags: UInt32) throws(Errno) {
        switch flags {
        case 0: self = .createOrReplace
        case 1: self = .create
        case 2: self = .replace
        default: throw .invalidArgument
        }
    }
}
