import MetadataStore
import Records
import Synchronization
public import SystemPackage

extension FileSystem {
    /// - Parameter caller: owns the whiteout, if one is asked for.
    public func rename(
        _ oldDirectory: InodeID, _ oldName: UnsafeRawBufferPointer, to newDirectory: InodeID, _ newName: UnsafeRawBufferPointer,
        flags: RenameFlags = [], caller: Caller = Caller(uid: 0, gid: 0)
    ) throws(Errno) {
        try requireWritable()
        if !flags.isSubset(of: [.noReplace, .exchange, .whiteout]) { throw .invalidArgument }
        if flags.contains(.exchange), !flags.isDisjoint(with: [.noReplace, .whiteout]) { throw .invalidArgument }
        for name in [oldName, newName] {
            if Self.isDot(name) || Self.isDotDot(name) { throw .resourceBusy }
            try validate(name)
        }
        let old = Place(directory: oldDirectory.rawValue, hash: hash(oldName), name: oldName)
        let new = Place(directory: newDirectory.rawValue, hash: hash(newName), name: newName)
        while try !tryRename(old, new, flags, caller) {}
    }

    /// A name in a directory.
    struct Place {
        var directory: UInt64
        var hash: UInt64
        var name: UnsafeRawBufferPointer

        var key: RecordKey { Keys.dirent(directory, hash, name) }
    }

    /// What a rename is about, as read before the locks are taken.
    struct Renaming {
        var old: Place
        var new: Place
        var flags: RenameFlags
        var source: Dirent
        var target: Dirent?
        /// The number of the whiteout's inode, if there is one.
        var whiteout: UInt64?
        var caller: Caller
    }

    /// False if a directory changed before it could be locked.
    private func tryRename(_ old: Place, _ new: Place, _ flags: RenameFlags, _ caller: Caller) throws(Errno) -> Bool {
        let oldEpoch = stripe(old.directory).epoch.load(ordering: .acquiring)
        let newEpoch = stripe(new.directory).epoch.load(ordering: .acquiring)
        try requireDirectory(try withInode(old.directory) { (_, found) throws(Errno) in found })
        try requireLiveDirectory(try withInode(new.directory) { (_, found) throws(Errno) in found })
        guard let source = try entry(old.directory, old.hash, old.name) else { throw .noSuchFileOrDirectory }
        let target = try entry(new.directory, new.hash, new.name)
        if target == nil, flags.contains(.exchange) { throw .noSuchFileOrDirectory }
        if target != nil, flags.contains(.noReplace) { throw .fileExists }
        // Two names of one file, or one name twice: nothing is done.
        if let target, target.inode == source.inode { return true }
        try warm(source.inode)
        if let target { try warm(target.inode) }
        let movesDirectory = old.directory != new.directory && (source.type == .directory || target?.type == .directory)
        if movesDirectory { renameLock.lock() }
        defer { if movesDirectory { renameLock.unlock() } }
        if movesDirectory { try refuseLoops(old, new, source, target, flags) }
        var renaming = Renaming(old: old, new: new, flags: flags, source: source, target: target, whiteout: nil, caller: caller)
        if flags.contains(.whiteout) { renaming.whiteout = try nextInodeNumber(for: old.directory) }
        var set = StripeSet()
        set.insert(inode: old.directory)
        set.insert(inode: new.directory)
        set.insert(inode: source.inode)
        if let target { set.insert(inode: target.inode) }
        if let whiteout = renaming.whiteout { set.insert(inode: whiteout) }
        let reaps = try withStripes(set) { () throws(Errno) -> Bool? in
            if stripe(old.directory).epoch.load(ordering: .relaxed) != oldEpoch
                || stripe(new.directory).epoch.load(ordering: .relaxed) != newEpoch
            {
                guard try entry(old.directory, old.hash, old.name) == source, try entry(new.directory, new.hash, new.name) == target else {
                    return nil
                }
            }
            if !flags.contains(.exchange) { return try renameLocked(renaming) }
            try exchangeLocked(renaming)
            return false
        }
        guard let reaps else { return false }
        if reaps, let target { try reap(target.inode) }
        return true
    }

    /// EINVAL if a directory would come to be in itself. Under the rename lock, so no directory's parent changes meanwhile.
    private func refuseLoops(_ old: Place, _ new: Place, _ source: Dirent, _ target: Dirent?, _ flags: RenameFlags) throws(Errno) {
        if source.type == .directory, try isAncestor(source.inode, of: new.directory) { throw .invalidArgument }
        guard let target, target.type == .directory else { return }
        if try isAncestor(target.inode, of: old.directory) { throw flags.contains(.exchange) ? .invalidArgument : .directoryNotEmpty }
    }

    /// Whether `directory` is `ancestor` or somewhere in it.
    private func isAncestor(_ ancestor: UInt64, of directory: UInt64) throws(Errno) -> Bool {
        var id = directory
        // Where a volume's parents go in circles, the way comes back to where it was after some power of two of steps.
        var (mark, steps, limit) = (id, 0, 1)
        while id != InodeID.root.rawValue {
            if id == ancestor { return true }
            id = try withInode(id) { (_, found) throws(Errno) in found.parent }
            if id == 0 { throw damaged("a directory has no parent", directory) }
            if id == mark { throw damaged("a directory is inside itself", directory) }
            steps += 1
            if steps == limit { (mark, steps, limit) = (id, 0, limit * 2) }
        }
        return ancestor == InodeID.root.rawValue
    }
}

// MARK: Under the locks
extension FileSystem {
    /// Returns whether the replaced inode is to be reaped.
    private func renameLocked(_ renaming: Renaming) throws(Errno) -> Bool {
        let (old, new) = (renaming.old, renaming.new)
        let isSameDirectory = old.directory == new.directory
        let sourceStripe = stripe(renaming.source.inode)
        var oldParent = try inode(old.directory, stripe(old.directory))
        var newParent = isSameDirectory ? oldParent : try inode(new.directory, stripe(new.directory))
        try requireLiveDirectory(newParent)
        var source = try inode(renaming.source.inode, sourceStripe)
        let now = environment.now()
        // Of the stripe whose extents may go.
        let batch = stripe(renaming.target?.inode ?? renaming.source.inode).batch
        batch.reset()
        var replaced: (inode: Inode, fate: Fate)?
        var leaving = EntryChange(entries: -1, directories: source.isDirectory ? -1 : 0)
        var arriving = EntryChange(entries: 1, directories: source.isDirectory ? 1 : 0)
        if let target = renaming.target {
            replaced = try replace(target.inode, by: source, now)
            arriving.entries -= 1
            if source.isDirectory { arriving.directories -= 1 }
        }
        batch.delete(old.key)
        batch.put(new.key) { renaming.source.encode(into: &$0) }
        let whiteout = try makeWhiteout(renaming, oldParent, batch)
        if whiteout != nil { leaving.entries += 1 }
        if isSameDirectory {
            try change(&oldParent, leaving + arriving, now)
        } else {
            try change(&oldParent, leaving, now)
            try change(&newParent, arriving, now)
            put(new.directory, newParent, in: batch)
        }
        put(old.directory, oldParent, in: batch)
        if source.isDirectory { source.parent = new.directory }
        source.touch(now)
        put(renaming.source.inode, source, in: batch)
        let token = try apply(batch, options.statesPreconditions ? preconditions(renaming) : [])
        publish(old.directory, oldParent, token, stripe(old.directory))
        if !isSameDirectory { publish(new.directory, newParent, token, stripe(new.directory)) }
        publish(renaming.source.inode, source, token, sourceStripe)
        if let id = renaming.whiteout, let whiteout { publish(id, whiteout, token, stripe(id), isNew: true) }
        if let target = renaming.target, let replaced {
            publishDrop(target.inode, replaced.inode, replaced.fate, token, stripe(target.inode))
        }
        return replaced?.fate == .toBeReaped
    }

    /// How the number of a directory's entries, and of directories among them, changes.
    private struct EntryChange {
        var entries: Int
        var directories: Int

        static func + (a: EntryChange, b: EntryChange) -> EntryChange {
            EntryChange(entries: a.entries + b.entries, directories: a.directories + b.directories)
        }
    }

    private func change(_ parent: inout Inode, _ change: EntryChange, _ now: Timestamp) throws(Errno) {
        if change.directories > 0 { try addLink(&parent) }
        if change.directories < 0 { parent.dropDirectoryLink() }
        if change.entries > 0 { parent.size += 1 }
        if change.entries < 0 { parent.size -= min(UInt64(-change.entries), parent.size) }
        parent.touchContent(now)
    }

    /// The target loses its name to the source. ENOTDIR, EISDIR, ENOTEMPTY.
    private func replace(_ id: UInt64, by source: Inode, _ now: Timestamp) throws(Errno) -> (Inode, Fate) {
        let stripe = stripe(id)
        guard var target = try inodeIfPresent(id, stripe) else { throw damaged("an entry leads to an inode that is not there", id) }
        if source.isDirectory {
            if !target.isDirectory { throw .notDirectory }
            if target.size > 0 { throw .directoryNotEmpty }
        } else if target.isDirectory {
            throw .isDirectory
        }
        let fate = try dropName(id, &target, now, stripe)
        return (target, fate)
    }

    private func makeWhiteout(_ renaming: Renaming, _ parent: Inode, _ batch: RecordBatch) throws(Errno) -> Inode? {
        guard let id = renaming.whiteout else { return nil }
        let node = NewNode(mode: InodeType.characterDevice.modeBits)
        let inode = try makeInode(id, renaming.old.directory, parent, node, renaming.caller, batch)
        let dirent = Dirent(inode: id, type: .characterDevice)
        batch.put(renaming.old.key) { dirent.encode(into: &$0) }
        return inode
    }

    private func preconditions(_ renaming: Renaming) -> [Precondition] {
        [.present(renaming.old.key), renaming.target == nil ? .absent(renaming.new.key) : .present(renaming.new.key)]
    }

    /// Both names get the other's inode.
    private func exchangeLocked(_ renaming: Renaming) throws(Errno) {
        guard let targetEntry = renaming.target else { throw .noSuchFileOrDirectory }
        let (old, new) = (renaming.old, renaming.new)
        let isSameDirectory = old.directory == new.directory
        var oldParent = try inode(old.directory, stripe(old.directory))
        var newParent = try inode(new.directory, stripe(new.directory))
        var source = try inode(renaming.source.inode, stripe(renaming.source.inode))
        var target = try inode(targetEntry.inode, stripe(targetEntry.inode))
        try requireLiveDirectory(newParent)
        let now = environment.now()
        let balance = (source.isDirectory ? 1 : 0) - (target.isDirectory ? 1 : 0)
        try change(&oldParent, EntryChange(entries: 0, directories: isSameDirectory ? 0 : -balance), now)
        try change(&newParent, EntryChange(entries: 0, directories: isSameDirectory ? 0 : balance), now)
        if source.isDirectory { source.parent = new.directory }
        if target.isDirectory { target.parent = old.directory }
        source.touch(now)
        target.touch(now)
        let batch = stripe(old.directory).batch
        batch.reset()
        batch.put(old.key) { targetEntry.encode(into: &$0) }
        batch.put(new.key) { renaming.source.encode(into: &$0) }
        put(renaming.source.inode, source, in: batch)
        put(targetEntry.inode, target, in: batch)
        put(old.directory, oldParent, in: batch)
        if !isSameDirectory { put(new.directory, newParent, in: batch) }
        let token = try apply(batch, options.statesPreconditions ? preconditions(renaming) : [])
        publish(renaming.source.inode, source, token, stripe(renaming.source.inode))
        publish(targetEntry.inode, target, token, stripe(targetEntry.inode))
        publish(old.directory, oldParent, token, stripe(old.directory))
        if !isSameDirectory { publish(new.directory, newParent, token, stripe(new.directory)) }
    }
}
