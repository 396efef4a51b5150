public import Syscalls

/// Where a chunk is: a sealed run of file data of at most `ChunkLocation.maximumSizeBytes`, cut into blocks of
/// `1 << blockSizeLog2` bytes that are sealed one by one. 20 bytes of facts, kept in extent records.
public struct ChunkLocation: Equatable, Sendable {
    /// The segment's number in this volume (not its blob name; the checkpoint maps one to the other).
    public var segment: UInt64
    /// Where the frame starts in the segment.
    public var frameOffset: UInt32
    /// The frame's number in the segment: a part of the nonce.
    public var frame: UInt32
    /// Bytes of plain content.
    public var sizeBytes: UInt32
    public var blockSizeLog2: UInt8

    public static let maximumSizeBytes = 1 << 20

    public init(segment: UInt64, frameOffset: UInt32, frame: UInt32, sizeBytes: UInt32, blockSizeLog2: UInt8) {
        self.segment = segment
        self.frameOffset = frameOffset
        self.frame = frame
        self.sizeBytes = sizeBytes
        self.blockSizeLog2 = blockSizeLog2
    }
}

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
}
