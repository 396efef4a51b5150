import MetadataStore
import Records
import Synchronization
public import SystemPackage

extension FileSystem {
    /// Removes a name of anything but a directory.
    public func unlink(_ directory: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) {
        if Self.isDot(name) || Self.isDotDot(name) { throw .isDirectory }
        try remove(directory.rawValue, name, directoryExpected: false)
    }

    public func removeDirectory(_ directory: InodeID, _ name: UnsafeRawBufferPointer) throws(Errno) {
        if Self.isDot(name) { throw .invalidArgument }
        if Self.isDotDot(name) { throw .directoryNotEmpty }
        try remove(directory.rawValue, name, directoryExpected: true)
    }

    private func remove(_ directory: UInt64, _ name: UnsafeRawBufferPointer, directoryExpected: Bool) throws(Errno) {
        try requireWritable()
        try validate(name)
        let hash = hash(name)
        while true {
            // Which inode it is about is known only from the entry, which is stable only under the lock: so it is read before,
            // and if the directory has changed until it is locked, again.
            let epoch = stripe(directory).epoch.load(ordering: .acquiring)
            try requireDirectory(try withInode(directory) { (_, found) throws(Errno) in found })
            guard let dirent = try entry(directory, hash, name) else { throw .noSuchFileOrDirectory }
            try warm(dirent.inode)
            var set = StripeSet()
            set.insert(inode: directory)
            set.insert(inode: dirent.inode)
            let reaps = try withStripes(set) { () throws(Errno) -> Bool? in
                if stripe(directory).epoch.load(ordering: .relaxed) != epoch, try entry(directory, hash, name) != dirent { return nil }
                return try removeLocked(directory, hash, name, dirent, directoryExpected)
            }
            guard let reaps else { continue }
            if reaps { try reap(dirent.inode) }
            return
        }
    }

    /// Returns whether the inode is to be reaped: it is gone, but too large for one batch.
    private func removeLocked(
        _ directory: UInt64, _ hash: UInt64, _ name: UnsafeRawBufferPointer, _ dirent: Dirent, _ directoryExpected: Bool
    ) throws(Errno) -> Bool {
        let parentStripe = stripe(directory)
        let stripe = stripe(dirent.inode)
        var parent = try inode(directory, parentStripe)
        guard var removed = try inodeIfPresent(dirent.inode, stripe) else {
            throw damaged("an entry of the directory leads nowhere", directory)
        }
        if directoryExpected {
            guard removed.isDirectory else { throw .notDirectory }
            guard removed.size == 0 else { throw .directoryNotEmpty }
        } else if removed.isDirectory {
            throw .isDirectory
        }
        let now = environment.now()
        // The batch of the stripe whose extents go, since those are collected there.
        let batch = stripe.batch
        batch.reset()
        batch.delete(Keys.dirent(directory, hash, name))
        let fate = try dropName(dirent.inode, &removed, now, stripe)
        parent.size -= min(1, parent.size)
        if removed.isDirectory { parent.dropDirectoryLink() }
        parent.touchContent(now)
        put(directory, parent, in: batch)
        let token = try apply(batch, options.statesPreconditions ? [.present(Keys.dirent(directory, hash, name))] : [])
        publish(directory, parent, token, parentStripe)
        publishDrop(dirent.inode, removed, fate, token, stripe)
        return fate == .toBeReaped
    }

    /// What becomes of an inode that loses a name.
    enum Fate { case stays, orphaned, toBeReaped, deleted }

    /// Adds to the stripe's batch that the inode has one name less (a directory: none), and what follows from it.
    func dropName(_ id: UInt64, _ inode: inout Inode, _ now: Timestamp, _ stripe: Stripe) throws(Errno) -> Fate {
        inode.linkCount = inode.isDirectory ? 0 : inode.linkCount - min(1, inode.linkCount)
        inode.touch(now)
        if inode.linkCount > 0 {
            put(id, inode, in: stripe.batch)
            return .stays
        }
        let isHeld = stripe.counts.isRetained(id)
        if !isHeld, try collectDeletion(id, &inode, stripe) { return .deleted }
        stripe.batch.put(Keys.orphan(id)) { _ in }
        put(id, inode, in: stripe.batch)
        return isHeld ? .orphaned : .toBeReaped
    }

    func publishDrop(_ id: UInt64, _ inode: Inode, _ fate: Fate, _ token: CommitToken, _ stripe: Stripe) {
        if fate == .deleted {
            publishDeletion(id, stripe)
        } else {
            publish(id, inode, token, stripe)
        }
        if fate == .orphaned { stripe.counts.setUnlinked(id, true) }
    }
}
