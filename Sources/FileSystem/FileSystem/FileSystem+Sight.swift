import Synchronization

/// For what keeps answers of its own in memory: whether they still hold, without a look at any record.
extension FileSystem {
    /// How far some inodes had changed.
    public struct Sight: Sendable {
        fileprivate var marks: [(stripe: Int, epoch: UInt64)]
    }

    /// What is read of these inodes from now on (of a directory: its entries too) holds for as long as `isCurrent` says so.
    public func sight(of inodes: [InodeID]) -> Sight {
        Sight(
            marks: inodes.map { inode in
                let index = Stripe.index(of: inode.rawValue)
                return (index, stripes[index].epoch.load(ordering: .acquiring))
            })
    }

    /// False if one of the inodes may have changed since. A change whose call has not returned yet may not count.
    public func isCurrent(_ sight: Sight) -> Bool {
        for mark in sight.marks where stripes[mark.stripe].epoch.load(ordering: .acquiring) != mark.epoch { return false }
        return true
    }
}
