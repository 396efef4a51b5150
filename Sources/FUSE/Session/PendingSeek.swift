import Syscalls
package import SystemPackage

/// An LSEEK whose answer depends on what the kernel has yet to write.
package struct PendingSeek: Sendable {
    /// Rounds after which the whole file is written back: whoever writes all the time must not keep a search from its end.
    private static let roundLimit = 8

    let unique: UInt64
    private let node: NodeID
    private let firstRange: Range<UInt64>
    private let ask: @Sendable (_ writtenBack: Range<UInt64>) -> Result<SeekReply, Errno>

    init(
        unique: UInt64, node: NodeID, _ range: Range<UInt64>, ask: @escaping @Sendable (Range<UInt64>) -> Result<SeekReply, Errno>
    ) {
        self.unique = unique
        self.node = node
        firstRange = range
        self.ask = ask
    }

    /// Has the kernel write back, and asks again. Blocks until workers have answered the writes that come of it.
    /// - Parameter notify: sends a notification; it returns when the kernel has done what it says.
    package func finish(_ notify: (UnsafeRawBufferPointer) throws(Errno) -> Void) -> Result<UInt64, Errno> {
        var range = firstRange
        for round in 1... {
            let first = range.lowerBound
            let length = range.upperBound >= UInt64(Int64.max) ? 0 : Int64(range.upperBound - first)
            // Of pages that are to be dropped the kernel first writes those that are dirty. An error means that it does not know
            // the file, or that the mount goes away.
            Notification.invalidateInode(node, offset: Int64(clamping: first), length: length).encoded().withBytes { bytes in
                try? notify(bytes)
            }
            switch ask(range) {
            case .failure(let error): return .failure(error)
            case .success(.offset(let offset)): return .success(offset)
            case .success(.afterWriteback(let next)): range = round < Self.roundLimit ? next : 0..<UInt64.max
            }
        }
        return .failure(.ioError)
    }
}
