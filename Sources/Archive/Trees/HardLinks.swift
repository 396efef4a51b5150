/// Which inodes with several names have been given already, and as what. Memory: one path for each whose names are not all seen.
struct HardLinks<ID: Hashable> {
    private var open: [ID: (path: [UInt8], left: UInt64)] = [:]

    /// The path that the inode was given as before; else notes that it is now given as `path`.
    mutating func earlierPath(of id: ID, linkCount: UInt64, as path: [UInt8]) -> [UInt8]? {
        guard linkCount > 1 else { return nil }
        guard let known = open[id] else {
            open[id] = (path, linkCount - 1)
            return nil
        }
        open[id] = known.left > 1 ? (known.path, known.left - 1) : nil
        return known.path
    }
}
