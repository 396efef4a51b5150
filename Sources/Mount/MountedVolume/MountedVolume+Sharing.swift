import FUSE
public import FileSystem
import Synchronization

/// For another face of the same volume in this process, with `MountOptions.isShared`. None of this is for a handler of the mount, and no
/// lock of the file system is held.
///
/// What that face changes: `beginChange`, the change itself, `entryChanged` and `attributesChanged` for each name and inode it touched,
/// `settle`, `endChange`. When `settle` returns, programs in the mount see the change.
///
/// What that face reads: the kernel owns the content, size and times of a file that it caches for a writer, so `writeBack` before.
extension MountedVolume {
    /// From before the change is visible in the file system until after `settle`.
    public func beginChange() { adapter.foreignChanges.wrappingAdd(1, ordering: .sequentiallyConsistent) }
    public func endChange() { adapter.foreignChanges.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// The name in the directory means something else now, or nothing, or something for the first time.
    public func entryChanged(_ directory: InodeID, _ name: [UInt8]) {
        let parent = NodeID(directory)
        session.notifier.postWaiting(.invalidateEntry(parent: parent, name: name))
        // The name alone is not enough: what the kernel has no entry for changes nothing of the directory. In this order: the first waits
        // for listings that are under way, the second drops what came of them.
        session.notifier.postWaiting(.invalidateInode(parent, offset: 0, length: 0))
    }

    /// Attributes of the inode changed. The kernel goes on with its own times of a file that it caches.
    public func attributesChanged(_ inode: InodeID) {
        session.notifier.postWaiting(.invalidateInode(NodeID(inode), offset: -1, length: 0))
    }

    /// Returns when the kernel knows all that was said so far, or the mount is gone.
    public func settle() { session.notifier.drain() }

    /// Whether the kernel may hold bytes of the file that were written in the mount and are not in the file system yet: somebody has it
    /// open for writing, or mapped.
    public func mayHoldWrites(_ inode: InodeID) -> Bool { adapter.writers.contains(inode.rawValue) }

    /// Has the kernel write what it caches of the file; returns when that is in the file system.
    public func writeBack(_ inode: InodeID) { session.writeBack(NodeID(inode)) }
}
