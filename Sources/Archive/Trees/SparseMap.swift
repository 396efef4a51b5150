import FileSystem
import Syscalls

/// Where a file has data, found by seeking from data to hole.
enum SparseMap {
    /// What has more pieces is archived as if its rest were all data: the map of an entry is kept in memory whole.
    static let rangeLimit = 65_536

    /// Nil if all of the file is data.
    /// - Parameter seek: the next data or hole from an offset on; nil if there is none.
    static func ranges(
        sizeBytes: UInt64, _ seek: (UInt64, SeekTarget) throws(Failure) -> UInt64?
    ) throws(Failure) -> [Range<UInt64>]? {
        var ranges: [Range<UInt64>] = []
        var position: UInt64 = 0
        while position < sizeBytes, let start = try seek(position, .data), start < sizeBytes {
            let isLast = ranges.count + 1 == rangeLimit
            // A file that is cut meanwhile has no hole to find.
            let end = isLast ? sizeBytes : min(sizeBytes, max(start + 1, try seek(start, .hole) ?? sizeBytes))
            ranges.append(start..<end)
            position = end
        }
        return ranges == [0..<sizeBytes] || sizeBytes == 0 ? nil : ranges
    }
}
