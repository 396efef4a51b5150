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
