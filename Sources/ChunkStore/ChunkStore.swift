public import Records
public import Syscalls

public typealias ChunkLocation = Records.ChunkLocation

/// Runs of file data. A chunk that is written is part of the volume only once a batch that names it is applied; before that,
/// and after the last extent on it is gone, it is garbage that the cleaner clears away. There is no `free`: a batch carries
/// `liveBytes` deltas (in bytes of plain content), +n for each extent made and -n for each one removed. Thread-safe.
public protocol ChunkStore: AnyObject, Sendable {
    /// Seals `data` (1 byte to `maximumSizeBytes`) and writes it. `inode` and `fileOffset` go into the frame's sealed header,
    /// for the cleaner and for repair.
    func write(_ data: UnsafeRawBufferPointer, inode: UInt64, fileOffset: UInt64) throws(Failure) -> ChunkLocation
    /// Reads and opens `output.count` bytes of the chunk from `offset`. Fails with `.damaged` if anything does not authenticate,
    /// and with `.missing` if the segment is gone because its data was moved: look the extent up again.
    func read(_ chunk: ChunkLocation, from offset: Int, into output: UnsafeMutableRawBufferPointer) throws(Failure)
    /// Says that a written chunk, or `sizeBytes` of it that are left, will not be named by any batch after all.
    func abandon(_ chunk: ChunkLocation)
}

extension ChunkStore {
    public func abandon(_ chunk: ChunkLocation) {}
}
