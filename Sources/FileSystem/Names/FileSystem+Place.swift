import MetadataStore
import Records
import Synchronization
public import SystemPackage

/// Giving a name to a file that has none: how a face of the volume that replaces whole files makes a new content visible in one step.
extension FileSystem {
    /// What `place` did.
    public struct Placement: Sendable {
        /// Of the file that has the name now.
        public var attributes: Attributes
        /// Of the file that had the name before, if there was one.
        public var replaced: Attributes?
    }

    /// Gives `inode`, made by `makeUnnamed` and still held, a name. A file that has the name loses it in the same batch: everybody, and
    /// every state after a crash, sees the old file or the new one.
    ///
    /// - Parameter allows: called, under the locks, with the attributes of what has the name now, nil if nothing has; if it says no,
    ///   nothing is done. It must be quick, and may be called again when others changed the directory meanwhile.
    /// - Returns: nil if `allows` said no. Throws EISDIR over a directory, ENOENT if `inode` has a name or is not held.
    public func place(
        _ inode: InodeID, _ directory: InodeID, _ name: UnsafeRawBufferPointer, if allows: (Attributes?) -> Bool
    ) throws(Errno) -> Placement? {
        try requireWritable()
        if Self.isDot(name) || Self.isDotDot(name) { throw .isDirectory }
        try validate(name)
        let place = Place(directory: directory.rawValue, hash: hash(name), name: name)
        while true {
            switch try tryPlace(inode.rawValue, place, allows) {
            case .overtaken: continue
            case .refused: return nil
            case .done(let placement, let reaps):
                if reaps, let replaced = placement.replaced { try reap(replaced.inode.rawValue) }
                return placement
            }
        }
    }

    private enum PlacingStep {
        /// The directory changed before it could be locked.
        case overtaken
        case refused
        case done(Placement, reaps: Bool)
    }

    private func tryPlace(_ id: UInt64, _ place: Place, _ allows: (Attributes?) -> Bool) throws(Errno) -> PlacingStep {
        let epoch = stripe(place.directory).epoch.load(ordering: .acquiring)
        try requireLiveDirectory(try withInode(place.directory) { (_, found) throws(Errno) in found })
        let target = try entry(place.directory, place.hash, place.name)
        if target?.inode == id { throw .noSuchFileOrDirectory }
        try warm(id)
        if let target { try warm(target.inode) }
        var set = StripeSet()
        set.insert(inode: place.directory)
        set.insert(inode: id)
        if let target { set.insert(inode: target.inode) }
        return try withStripes(set) { () throws(Errno) in
            if stripe(place.directory).epoch.load(ordering: .relaxed) != epoch,
                try entry(place.directory, place.hash, place.name) != target
            {
                return .overtaken
            }
            return try placeLocked(id, place, target, allows)
        }
    }

    private func placeLocked(
        _ id: UInt64, _ place: Place, _ target: Dirent?, _ allows: (Attributes?) -> Bool
    ) throws(Errno) -> PlacingStep {
        let stripe = stripe(id)
        let parentStripe = self.stripe(place.directory)
        var placed = try inode(id, stripe)
        var parent = try inode(place.directory, parentStripe)
        try requireLiveDirectory(parent)
        guard placed.linkCount == 0, stripe.counts.isRetained(id) else { throw .noSuchFileOrDirectory }
        var old: Inode?
        if let target {
            old = try inode(target.inode, self.stripe(target.inode))
            if target.type == .directory { throw .isDirectory }
        }
        let replaced = target.flatMap { target in old?.attributes(InodeID(target.inode)) }
        guard allows(replaced) else { return .refused }
        let now = environment.now()
        // Of the stripe whose extents may go, since those are collected there.
        let batch = self.stripe(target?.inode ?? id).batch
        batch.reset()
        var fate = Fate.stays
        if let target, var lost = old {
            fate = try dropName(target.inode, &lost, now, self.stripe(target.inode))
            old = lost
        } else {
            parent.size += 1
        }
        batch.delete(Keys.orphan(id))
        try addLink(&placed)
        placed.touch(now)
        parent.touchContent(now)
        let dirent = Dirent(inode: id, type: placed.type)
        batch.put(place.key) { dirent.encode(into: &$0) }
        put(place.directory, parent, in: batch)
        put(id, placed, in: batch)
        let token = try apply(batch, options.statesPreconditions ? [target == nil ? .absent(place.key) : .present(place.key)] : [])
        publish(place.directory, parent, token, parentStripe)
        publish(id, placed, token, stripe)
        stripe.counts.setUnlinked(id, false)
        if let target, let old { publishDrop(target.inode, old, fate, token, self.stripe(target.inode)) }
        return .done(Placement(attributes: placed.attributes(InodeID(id)), replaced: replaced), reaps: fate == .toBeReaped)
    }
}
