import MetadataStore
import Records
public import Syscalls
import SystemPackage

/// Deleting inodes that have no name. While extents are left, the inode has an orphan record, so that each batch of the
/// deletion leaves a state from which the next mount goes on.
extension FileSystem {
    /// Adds to the stripe's batch that records of a nameless inode go, as many as a batch may hold.
    /// - Returns: whether those were all, the inode's own included.
    func collectDeletion(_ id: UInt64, _ inode: inout Inode, _ stripe: Stripe) throws(Errno) -> Bool {
        let batch = stripe.batch
        var budget = options.batchRecordLimit
        if inode.flags.contains(.inline) || inode.type == .symbolicLink {
            batch.delete(Keys.inline(id))
        } else if inode.allocatedBytes > 0 {
            let removal = try removeExtents(id, &inode, from: 0, to: FileLimits.maximumSizeBytes, stripe)
            if !removal { return false }
            budget -= stripe.extents.count
        }
        if inode.flags.contains(.hasXattrs) {
            try scan(from: Keys.xattr(id, .init(start: nil, count: 0)), to: Keys.after(.xattr, id)) { record in
                if budget <= 0 { return .stop }
                batch.delete(record.key)
                budget -= 1
                return .next
            }
            if budget <= 0 { return false }
        }
        batch.delete(Keys.inode(id))
        return true
    }

    /// Deletes an inode that has neither name nor lookup count, batch by batch.
    func reap(_ id: UInt64) throws(Errno) {
        let stripe = stripe(id)
        var isWhole = false
        while !isWhole {
            stripe.lock()
            defer { stripe.unlock() }
            guard var inode = try inodeIfPresent(id, stripe), inode.linkCount == 0, !stripe.counts.isRetained(id) else { return }
            stripe.batch.reset()
            isWhole = try collectDeletion(id, &inode, stripe)
            if isWhole { stripe.batch.delete(Keys.orphan(id)) } else { put(id, inode, in: stripe.batch) }
            let token = try apply(stripe.batch, presence(of: id))
            if isWhole { publishDeletion(id, stripe) } else { publish(id, inode, token, stripe) }
        }
    }

    /// Deletes what was unlinked but open when the volume was last left. Call once after opening for writing, before use.
    /// - Returns: how many inodes went.
    @discardableResult
    public func recoverOrphans() throws(Failure) -> Int {
        var count = 0
        var from: UInt64 = 0
        while true {
            var found: [UInt64] = []
            try metadata.scan(from: Keys.orphan(from), to: Keys.after(.orphan)) { record in
                found.append(record.key.first)
                return found.count < 1000 ? .next : .stop
            }
            guard let last = found.last else { return count }
            for id in found {
                do throws(Errno) { try reap(id) } catch {
                    throw Failure(
                        .damaged, "a file that was deleted while open cannot be cleared away", object: "inode \(id)", cause: error)
                }
                count += 1
            }
            from = last + 1
        }
    }
}
