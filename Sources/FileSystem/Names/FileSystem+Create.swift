import MetadataStore
import Records
import Synchronization
public import SystemPackage

extension FileSystem {
    /// Makes a regular file, FIFO, socket or device. `mode` holds type and permissions; no type bits mean a regular file.
    public func makeNode(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, mode: UInt32, deviceNumber: UInt32 = 0, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes {
        let fullMode = mode & Mode.typeMask == 0 ? mode | InodeType.regular.modeBits : mode
        guard let type = InodeType(mode: fullMode) else { throw .invalidArgument }
        if type == .directory { throw .notPermitted }
        if type == .symbolicLink { throw .invalidArgument }
        let device = type == .blockDevice || type == .characterDevice ? deviceNumber : 0
        return try create(directory.rawValue, name, NewNode(mode: fullMode, deviceNumber: device), caller, retaining)
    }

    public func makeDirectory(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, mode: UInt32, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes {
        let node = NewNode(mode: InodeType.directory.modeBits | (mode & Mode.permissionMask))
        return try create(directory.rawValue, name, node, caller, retaining)
    }

    public func makeSymbolicLink(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer, caller: Caller, retaining: Bool
    ) throws(Errno) -> Attributes {
        if target.isEmpty { throw .noSuchFileOrDirectory }
        if target.count > FileLimits.maximumTargetBytes { throw .fileNameTooLong }
        if target.contains(0) { throw .invalidArgument }
        let node = NewNode(mode: InodeType.symbolicLink.modeBits | 0o777, target: target)
        return try create(directory.rawValue, name, node, caller, retaining)
    }

    struct NewNode {
        /// With the type.
        var mode: UInt32
        var deviceNumber: UInt32 = 0
        /// Of a symbolic link.
        var target = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func create(
        _ directory: UInt64, _ name: UnsafeRawBufferPointer, _ node: NewNode, _ caller: Caller, _ retaining: Bool
    ) throws(Errno) -> Attributes {
        try requireWritable()
        if Self.isDot(name) || Self.isDotDot(name) { throw .fileExists }
        try validate(name)
        let hash = hash(name)
        let epoch = stripe(directory).epoch.load(ordering: .acquiring)
        try requireLiveDirectory(try withInode(directory) { (_, found) throws(Errno) in found })
        // Also reads what the check under the lock would otherwise have to wait for.
        if try entry(directory, hash, name) != nil { throw .fileExists }
        let id = try nextInodeNumber(for: directory)
        var set = StripeSet()
        set.insert(inode: directory)
        set.insert(inode: id)
        lock(set)
        defer { unlock(set) }
        let parentStripe = stripe(directory)
        var parent = try inode(directory, parentStripe)
        try requireLiveDirectory(parent)
        if parentStripe.epoch.load(ordering: .relaxed) != epoch, try entry(directory, hash, name) != nil { throw .fileExists }
        let batch = parentStripe.batch
        batch.reset()
        let inode = try makeInode(id, directory, parent, node, caller, batch)
        let dirent = Dirent(inode: id, type: inode.type)
        batch.put(Keys.dirent(directory, hash, name)) { dirent.encode(into: &$0) }
        if inode.isDirectory { try addLink(&parent) }
        parent.size += 1
        parent.touchContent(inode.changeTime)
        put(directory, parent, in: batch)
        let token = try apply(batch, options.statesPreconditions ? [.absent(Keys.dirent(directory, hash, name))] : [])
        publish(directory, parent, token, parentStripe)
        let ownStripe = stripe(id)
        publish(id, inode, token, ownStripe, isNew: true)
        if retaining { ownStripe.counts.retain(id) }
        return inode.attributes(InodeID(id))
    }

    /// A new inode in `directory`, and its records but the entry in the batch.
    func makeInode(
        _ id: UInt64, _ directory: UInt64, _ parent: Inode, _ node: NewNode, _ caller: Caller, _ batch: RecordBatch
    ) throws(Errno) -> Inode {
        var inode = Inode(mode: node.mode, linkCount: 1, uid: caller.uid, gid: caller.gid, time: environment.now())
        inode.deviceNumber = node.deviceNumber
        if parent.mode & Mode.setGroupID != 0 {
            inode.gid = parent.gid
            if inode.isDirectory { inode.mode |= Mode.setGroupID }
        }
        if inode.isDirectory {
            inode.linkCount = 2
            inode.parent = directory
        }
        if inode.type == .symbolicLink {
            inode.size = UInt64(node.target.count)
            batch.put(Keys.inline(id), node.target)
        } else {
            try inheritACL(id, &inode, directory, parent, caller, batch)
        }
        put(id, inode, in: batch)
        return inode
    }

    /// EMLINK.
    func addLink(_ inode: inout Inode) throws(Errno) {
        if inode.linkCount >= options.maximumLinkCount { throw .tooManyLinks }
        inode.linkCount += 1
    }

    /// A regular file without a name (O_TMPFILE) in the directory's place. It can be linked. Its lookup count is 1.
    public func makeUnnamed(_ directory: InodeID, mode: UInt32, caller: Caller) throws(Errno) -> Attributes {
        try requireWritable()
        try requireLiveDirectory(try withInode(directory.rawValue) { (_, found) throws(Errno) in found })
        let id = try nextInodeNumber(for: directory.rawValue)
        var set = StripeSet()
        set.insert(inode: directory.rawValue)
        set.insert(inode: id)
        lock(set)
        defer { unlock(set) }
        let parent = try inode(directory.rawValue, stripe(directory.rawValue))
        try requireLiveDirectory(parent)
        let stripe = stripe(id)
        stripe.batch.reset()
        let node = NewNode(mode: InodeType.regular.modeBits | (mode & Mode.permissionMask))
        var inode = try makeInode(id, directory.rawValue, parent, node, caller, stripe.batch)
        inode.linkCount = 0
        // A later change of a key overrides the earlier one.
        put(id, inode, in: stripe.batch)
        stripe.batch.put(Keys.orphan(id)) { _ in }
        let token = try apply(stripe.batch)
        publish(id, inode, token, stripe, isNew: true)
        stripe.counts.retain(id)
        stripe.counts.setUnlinked(id, true)
        return inode.attributes(InodeID(id))
    }

    public func link(_ inode: InodeID, _ directory: InodeID, _ name: UnsafeRawBufferPointer, retaining: Bool) throws(Errno) -> Attributes {
        try requireWritable()
        if Self.isDot(name) || Self.isDotDot(name) { throw .fileExists }
        try validate(name)
        let id = inode.rawValue
        let parentID = directory.rawValue
        let hash = hash(name)
        try warm(id)
        try warm(parentID)
        var set = StripeSet()
        set.insert(inode: id)
        set.insert(inode: parentID)
        lock(set)
        defer { unlock(set) }
        let stripe = stripe(id)
        var linked = try self.inode(id, stripe)
        var parent = try self.inode(parentID, self.stripe(parentID))
        try requireLiveDirectory(parent)
        if try entry(parentID, hash, name) != nil { throw .fileExists }
        if linked.isDirectory { throw .notPermitted }
        // Without a name it can be linked as long as somebody holds it: it was made so.
        if linked.linkCount == 0, !stripe.counts.isRetained(id) { throw .noSuchFileOrDirectory }
        stripe.batch.reset()
        if linked.linkCount == 0 { stripe.batch.delete(Keys.orphan(id)) }
        try addLink(&linked)
        let now = environment.now()
        linked.touch(now)
        parent.size += 1
        parent.touchContent(now)
        let dirent = Dirent(inode: id, type: linked.type)
        stripe.batch.put(Keys.dirent(parentID, hash, name)) { dirent.encode(into: &$0) }
        put(parentID, parent, in: stripe.batch)
        put(id, linked, in: stripe.batch)
        let token = try apply(stripe.batch, options.statesPreconditions ? [.absent(Keys.dirent(parentID, hash, name))] : [])
        publish(parentID, parent, token, self.stripe(parentID))
        publish(id, linked, token, stripe)
        stripe.counts.setUnlinked(id, false)
        if retaining { stripe.counts.retain(id) }
        return linked.attributes(inode)
    }
}
