import MetadataStore
import Records
import Synchronization
public import SystemPackage

// MARK: Stripes and cached inodes
extension FileSystem {
    func stripe(_ inode: UInt64) -> Stripe { stripes[Stripe.index(of: inode)] }

    /// Takes the locks in ascending order, which is what keeps two operations from waiting for each other.
    func lock(_ set: StripeSet) { set.forEach { stripes[$0].lock() } }
    func unlock(_ set: StripeSet) { set.forEach { stripes[$0].unlock() } }

    @inline(__always)
    func withStripes<R>(_ set: StripeSet, _ body: () throws(Errno) -> R) throws(Errno) -> R {
        lock(set)
        defer { unlock(set) }
        return try body()
    }

    /// The inode as the store has it.
    private func storedInode(_ id: UInt64) throws(Errno) -> Inode? {
        var inode: Inode?
        guard try get(Keys.inode(id), { inode = Inode.decode($0) }) else { return nil }
        guard let inode else { throw damaged("the inode record cannot be read", id) }
        return inode
    }

    /// The inode, under its stripe's lock; nil if there is none.
    func inodeIfPresent(_ id: UInt64, _ stripe: Stripe) throws(Errno) -> Inode? {
        if let cached = stripe.cache.inode(id) { return cached }
        guard let inode = try storedInode(id) else { return nil }
        stripe.cache.put(id, inode, token: nil)
        return inode
    }

    /// The inode, under its stripe's lock; ESTALE if there is none.
    func inode(_ id: UInt64, _ stripe: Stripe) throws(Errno) -> Inode {
        guard let inode = try inodeIfPresent(id, stripe) else { throw .staleNFSFileHandle }
        return inode
    }

    /// Brings the inode into the cache without holding the lock while the store reads. Nothing rests on it: who needs the
    /// inode loads it under the lock if it is not there (any more).
    func warm(_ id: UInt64) throws(Errno) {
        let stripe = stripe(id)
        stripe.lock()
        let isCached = stripe.cache.inode(id) != nil
        let epoch = stripe.epoch.load(ordering: .relaxed)
        stripe.unlock()
        if isCached { return }
        guard let inode = try storedInode(id) else { return }
        stripe.lock()
        if stripe.epoch.load(ordering: .relaxed) == epoch, stripe.cache.inode(id) == nil { stripe.cache.put(id, inode, token: nil) }
        stripe.unlock()
    }

    /// Runs `body` with the inode and its stripe locked. ESTALE if there is none.
    @inline(__always)
    func withInode<R>(_ id: UInt64, _ body: (Stripe, Inode) throws(Errno) -> R) throws(Errno) -> R {
        let stripe = stripe(id)
        stripe.lock()
        defer { stripe.unlock() }
        if let cached = stripe.cache.inode(id) { return try body(stripe, cached) }
        try warm(id, unlocking: stripe)
        return try body(stripe, try inode(id, stripe))
    }

    /// As `warm`, with the stripe's lock held before and after, and not meanwhile.
    @inline(never)
    private func warm(_ id: UInt64, unlocking stripe: Stripe) throws(Errno) {
        stripe.unlock()
        defer { stripe.lock() }
        try warm(id)
    }

    /// Adds the inode's record to a batch.
    func put(_ id: UInt64, _ inode: Inode, in batch: RecordBatch) { batch.put(Keys.inode(id)) { inode.encode(into: &$0) } }

    /// Makes known what an applied batch did to an inode, under its stripe's lock.
    func publish(_ id: UInt64, _ inode: Inode, _ token: CommitToken?, _ stripe: Stripe, isNew: Bool = false) {
        if environment.usageObserver != nil { tellUsage(id, stripe, inode, isNew: isNew) }
        stripe.cache.put(id, inode, token: token)
        stripe.epoch.wrappingAdd(1, ordering: .releasing)
    }

    func publishDeletion(_ id: UInt64, _ stripe: Stripe) {
        if environment.usageObserver != nil { tellUsage(id, stripe, nil, isNew: false) }
        stripe.cache.remove(id)
        stripe.epoch.wrappingAdd(1, ordering: .releasing)
    }

    /// Applies a batch that changes this one inode, with its record, and makes it known.
    func commit(_ id: UInt64, _ inode: Inode, _ stripe: Stripe) throws(Errno) {
        put(id, inode, in: stripe.batch)
        let token = try apply(stripe.batch, presence(of: id))
        publish(id, inode, token, stripe)
    }

    func presence(of id: UInt64) -> [Precondition] { options.statesPreconditions ? [.present(Keys.inode(id))] : [] }
}

// MARK: Attributes
extension FileSystem {
    /// ESTALE if there is no such inode.
    public func attributes(_ inode: InodeID) throws(Errno) -> Attributes {
        try withInode(inode.rawValue) { (_, found) throws(Errno) in found.attributes(inode) }
    }

    public func setAttributes(_ inode: InodeID, _ changes: AttributeChanges) throws(Errno) -> Attributes {
        if changes.isEmpty { return try attributes(inode) }
        try requireWritable()
        let id = inode.rawValue
        if let size = changes.sizeBytes, size > FileLimits.maximumSizeBytes { throw .fileTooLarge }
        let (result, isWhole) = try withInode(id) { (stripe, found) throws(Errno) in
            var changed = found
            let now = environment.now()
            if let size = changes.sizeBytes {
                try requireRegular(found)
                if size > found.size, found.flags.contains(.staleTail) { try removeStaleTail(id, &changed, stripe) }
            }
            stripe.batch.reset()
            var isWhole = true
            if let size = changes.sizeBytes {
                isWhole = try truncate(id, &changed, to: size, stripe)
                changed.modificationTime = now
                dropCapability(id, &changed, stripe.batch)
            }
            try change(id, &changed, changes, now, stripe)
            try commit(id, changed, stripe)
            return (changed.attributes(inode), isWhole)
        }
        if !isWhole { try finishTruncation(id) }
        return result
    }

    /// Everything but the size.
    private func change(
        _ id: UInt64, _ inode: inout Inode, _ changes: AttributeChanges, _ now: Timestamp, _ stripe: Stripe
    ) throws(Errno) {
        if changes.uid != nil || changes.gid != nil {
            inode.uid = changes.uid ?? inode.uid
            inode.gid = changes.gid ?? inode.gid
            if !inode.isDirectory {
                inode.mode &= ~Mode.setUserID
                if inode.mode & Mode.groupExecute != 0 { inode.mode &= ~Mode.setGroupID }
                dropCapability(id, &inode, stripe.batch)
            }
        }
        if changes.clearsSetIDs { inode.clearSetIDs() }
        if let mode = changes.mode {
            inode.mode = (inode.mode & Mode.typeMask) | (mode & Mode.permissionMask)
            if inode.flags.contains(.hasAccessACL) { try keepACLInStep(id, inode, stripe) }
        }
        if let time = changes.accessTime { inode.accessTime = try moment(time, now) }
        if let time = changes.modificationTime { inode.modificationTime = try moment(time, now) }
        inode.touch(try changes.changeTime.map { (time) throws(Errno) in try moment(.at(time), now) } ?? now)
    }

    private func moment(_ time: AttributeChanges.Time, _ now: Timestamp) throws(Errno) -> Timestamp {
        guard case .at(let moment) = time else { return now }
        guard moment.nanoseconds < 1_000_000_000 else { throw .invalidArgument }
        return moment
    }

    /// The inode was read: raises its access time if the policy says so.
    func noteAccess(_ id: UInt64, _ inode: Inode) {
        let policy = options.accessTimes
        if options.readOnly || policy.rule == .never || inode.isDirectory && !policy.includesDirectories { return }
        let now = environment.now()
        guard accessTimeIsDue(inode, now) else { return }
        let stripe = stripe(id)
        stripe.lock()
        defer { stripe.unlock() }
        // Reading goes on without it. A failure is not for the log: where nothing can be written any more, each read would meet it.
        guard var current = stripe.cache.inode(id), accessTimeIsDue(current, now) else { return }
        current.accessTime = now
        stripe.batch.reset()
        put(id, current, in: stripe.batch)
        guard (try? metadata.apply(stripe.batch, presence(of: id))) != nil else { return }
        // No token: an fsync does not wait for an access time.
        publish(id, current, nil, stripe)
    }

    /// With `relative`: when it is not after the last change, or a day old.
    private func accessTimeIsDue(_ inode: Inode, _ now: Timestamp) -> Bool {
        if options.accessTimes.rule == .always { return inode.accessTime != now }
        return inode.accessTime <= inode.modificationTime && inode.accessTime != now
            || inode.accessTime <= inode.changeTime && inode.accessTime != now
            || now.seconds &- inode.accessTime.seconds >= 86_400
    }
}

// MARK: Lookup counts
extension FileSystem {
    /// Adds one to the lookup count: the inode outlives its last name until it is forgotten as often.
    public func retain(_ inode: InodeID) throws(Errno) {
        let id = inode.rawValue
        try withInode(id) { (stripe, found) throws(Errno) in
            guard found.linkCount > 0 || stripe.counts.isRetained(id) else { throw .staleNFSFileHandle }
            stripe.counts.retain(id)
        }
    }

    /// Those with a lookup count, as they are at some time during the call.
    public func retainedInodes() -> [InodeID] {
        var list: [InodeID] = []
        for stripe in stripes {
            stripe.lock()
            stripe.counts.appendInodes(to: &list)
            stripe.unlock()
        }
        return list
    }

    /// Takes from the lookup count. An inode without name and count is deleted.
    public func forget(_ inode: InodeID, count: UInt64) {
        let stripe = stripe(inode.rawValue)
        stripe.lock()
        let isGarbage = stripe.counts.forget(inode.rawValue, count)
        stripe.unlock()
        // A failure is in the log; the orphan record is there, so the next mount deletes it.
        if isGarbage { try? reap(inode.rawValue) }
    }
}
