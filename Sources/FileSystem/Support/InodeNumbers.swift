import MetadataStore
import Records
import Syscalls

/// Gives out inode numbers, a run of neighbours for each directory, so that files of one directory are neighbours in a
/// table. The record runs ahead of what is given out, and no number is given out twice. Thread-safe, by its own lock.
final class InodeNumbers: @unchecked Sendable {
    // @unchecked: everything is used under `lock` only.
    private struct Run {
        var directory: UInt64 = 0
        var next: UInt64 = 0
        var end: UInt64 = 0
    }

    /// What the record is ahead of the numbers that are given out, at least.
    static let aheadCount: UInt64 = 4096
    private static let runLength: UInt64 = 32
    static let firstNumber: UInt64 = 2
    private static let counterMask: UInt64 = (1 << 48) - 1

    private let lock = Lock()
    private let metadata: any MetadataStore
    private let writer: UInt16
    private let batch = RecordBatch(capacityBytes: 64)
    private var runs = [Run](repeating: Run(), count: 256)
    /// The first inode number that was never given out when this began.
    let firstNew: UInt64
    /// The first number that is in no run.
    private var next: UInt64
    /// The first number that the record does not cover.
    private var limit: UInt64

    init(metadata: any MetadataStore, writer: UInt16) throws(Failure) {
        self.metadata = metadata
        self.writer = writer
        var stored: UInt64? = Self.firstNumber
        _ = try metadata.get(Keys.nextInode(writer: writer)) { value in
            var reader = ByteReader(value)
            stored = reader.readVarint()
        }
        guard let stored, stored >= Self.firstNumber, stored <= Self.counterMask else {
            throw Failure(.damaged, "the counter of inode numbers cannot be read")
        }
        firstNew = UInt64(writer) << 48 | stored
        next = stored
        limit = stored
    }

    func next(for directory: UInt64) throws(Failure) -> UInt64 {
        lock.lock()
        defer { lock.unlock() }
        let slot = Stripe.index(of: directory)
        if runs[slot].directory != directory || runs[slot].next == runs[slot].end {
            if next + Self.runLength > limit { try raiseLimit() }
            runs[slot] = Run(directory: directory, next: next, end: next + Self.runLength)
            next += Self.runLength
        }
        let number = runs[slot].next
        runs[slot].next += 1
        return UInt64(writer) << 48 | number
    }

    private func raiseLimit() throws(Failure) {
        let newLimit = next + Self.aheadCount
        guard newLimit <= Self.counterMask else { throw Failure(.noSpace, "this writer has no inode numbers left") }
        batch.reset()
        batch.put(Keys.nextInode(writer: writer)) { $0.appendVarint(newLimit) }
        _ = try metadata.apply(batch, [])
        limit = newLimit
    }
}
