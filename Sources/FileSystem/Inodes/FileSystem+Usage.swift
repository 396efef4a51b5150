import MetadataStore
import Records
import Syscalls
package import SystemPackage

/// How many bytes a file counts for, and for which group: a regular file that has a name counts its size, everything else nothing.
package struct FileShare: Sendable, Equatable {
    package var group: UInt32
    package var bytes: UInt64

    package init(group: UInt32, bytes: UInt64) {
        self.group = group
        self.bytes = bytes
    }
}

/// Is told of each change of what a file counts for, whoever makes it, so that the sum can be known without looking at all files.
///
/// Called under the lock of the inode's stripe, once the change is visible: changes of one inode come in their order. It must be quick, and
/// must not call the file system.
package protocol UsageObserver: Sendable {
    /// `from` is nil where the inode is new, `to` where it is gone.
    func usageChanged(_ inode: InodeID, from: FileShare?, to: FileShare?)
    /// An inode changed, and what it counted for before is not known any more.
    func usageIsUnknown(_ inode: InodeID)
}

extension Inode {
    var share: FileShare { FileShare(group: gid, bytes: type == .regular && linkCount > 0 ? size : 0) }
}

extension Attributes {
    /// What the file counts for.
    package var share: FileShare { FileShare(group: gid, bytes: type == .regular && linkCount > 0 ? sizeBytes : 0) }
}

extension FileSystem {
    /// Before the cache has what `new` says; nil if the inode is gone.
    func tellUsage(_ id: UInt64, _ stripe: Stripe, _ new: Inode?, isNew: Bool) {
        guard let observer = environment.usageObserver else { return }
        if let new, new.type != .regular { return }
        let old = stripe.cache.inode(id)
        if old == nil, !isNew {
            // Every operation has loaded the inode before; another of the same one may have pushed it out.
            observer.usageIsUnknown(InodeID(id))
            return
        }
        let (from, to) = (old?.share, new?.share)
        if from == to || (from?.bytes ?? 0) == 0 && (to?.bytes ?? 0) == 0 { return }
        observer.usageChanged(InodeID(id), from: from, to: to)
    }

    /// The first inode number that no inode had when the volume was opened: all that are made since have it or a larger one.
    package var firstNewInode: InodeID { InodeID(numbers.firstNew) }

    /// Calls `visit` for up to `limit` of the inodes after `cursor` that are below `end`, in ascending order, with what each counts for,
    /// under the lock of its stripe: changes that the observer is told of come before or after it.
    /// - Returns: the last inode that was visited or found gone; nil if there is none left.
    package func countUsage(
        after cursor: InodeID, below end: InodeID, limit: Int, _ visit: (InodeID, FileShare) -> Void
    ) throws(Errno) -> InodeID? {
        var found: [UInt64] = []
        guard cursor.rawValue + 1 < end.rawValue else { return nil }
        try scan(from: Keys.inode(cursor.rawValue + 1), to: Keys.inode(end.rawValue)) { record in
            found.append(record.key.first)
            return found.count < limit ? .next : .stop
        }
        for id in found {
            let stripe = stripe(id)
            stripe.lock()
            defer { stripe.unlock() }
            // One that went meanwhile counts for nothing; whoever deleted it was told by its number.
            visit(InodeID(id), try inodeIfPresent(id, stripe)?.share ?? FileShare(group: 0, bytes: 0))
        }
        return found.last.map { InodeID($0) }
    }
}
