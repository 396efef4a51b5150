import Records
import Sealing

/// What a frame holds. The numbers are part of the format; a reader stops at one that it does not know.
public enum FrameKind: UInt8, Sendable {
    /// The first frame of a segment: who wrote it, and what came before.
    case opening = 1
    /// A run of file data.
    case chunk = 2
    /// A piece of a commit that did not fit one frame; the final piece is the commit itself.
    case commitPart = 3
    case commit = 4
    /// The last frame of a segment: names the segment that goes on.
    case closing = 5
}

/// The sealed head of every frame. 24 bytes of content, little-endian:
/// `kind u8, blockSizeLog2 u8, stageMask u8, flags u8, payloadSizeBytes u32, first u64, second u64`.
/// The length is sealed too, so that storage learns no sizes of single files.
public struct FrameHeader: Equatable, Sendable {
    public var kind: FrameKind
    public var blockSizeLog2: UInt8
    /// Bytes of plain payload.
    public var payloadSizeBytes: Int
    /// A chunk's inode; a commit's generation; else 0.
    public var first: UInt64
    /// A chunk's offset in its file; else 0.
    public var second: UInt64

    public init(kind: FrameKind, blockSizeLog2: UInt8, payloadSizeBytes: Int, first: UInt64 = 0, second: UInt64 = 0) {
        self.kind = kind
        self.blockSizeLog2 = blockSizeLog2
        self.payloadSizeBytes = payloadSizeBytes
        self.first = first
        self.second = second
    }

    static let plainSizeBytes = 24
    static let sealedSizeBytes = plainSizeBytes + CipherSuite.tagSizeBytes
    /// The block number in the nonce of a header; payload blocks count from 0.
    static let nonceBlock = UInt32.max
    /// No frame is larger: what a reader allocates is bounded before anything is believed.
    public static let maximumPayloadSizeBytes = 1 << 20
    static let dataBlockSizeLog2: UInt8 = 12
    static let commitBlockSizeLog2: UInt8 = 16

    var blockSizeBytes: Int { 1 << Int(blockSizeLog2) }
    var blockCount: Int { (payloadSizeBytes + blockSizeBytes - 1) >> Int(blockSizeLog2) }
    /// Bytes of the whole frame on storage.
    var frameSizeBytes: Int { Self.sealedSizeBytes + payloadSizeBytes + blockCount * CipherSuite.tagSizeBytes }

    /// Where a block starts, counted from the start of its frame.
    static func blockOffset(_ block: Int, blockSizeLog2: UInt8) -> Int {
        sealedSizeBytes + block * ((1 << Int(blockSizeLog2)) + CipherSuite.tagSizeBytes)
    }

    func encode(into output: UnsafeMutableRawPointer) {
        output.storeBytes(of: kind.rawValue, toByteOffset: 0, as: UInt8.self)
        output.storeBytes(of: blockSizeLog2, toByteOffset: 1, as: UInt8.self)
        output.storeBytes(of: 1, toByteOffset: 2, as: UInt8.self)  // stage mask: the first stage sealed it
        output.storeBytes(of: 0, toByteOffset: 3, as: UInt8.self)
        output.storeBytes(of: UInt32(payloadSizeBytes).littleEndian, toByteOffset: 4, as: UInt32.self)
        output.storeBytes(of: first.littleEndian, toByteOffset: 8, as: UInt64.self)
        output.storeBytes(of: second.littleEndian, toByteOffset: 16, as: UInt64.self)
    }

    /// Nil for a kind, a size, a stage or a flag that this version does not know.
    init?(decoding bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard let code = reader.readUInt8(), let kind = FrameKind(rawValue: code), let log2 = reader.readUInt8(),
            let stageMask = reader.readUInt8(), let flags = reader.readUInt8(), let size = reader.readUInt32(),
            let first = reader.readUInt64(), let second = reader.readUInt64(),
            (12...16).contains(log2), stageMask == 1, flags == 0, size <= Self.maximumPayloadSizeBytes
        else { return nil }
        self.init(kind: kind, blockSizeLog2: log2, payloadSizeBytes: Int(size), first: first, second: second)
    }
}
