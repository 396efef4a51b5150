import BlobStorage
import Records
import Sealing
import Syscalls

/// The parts of a table's file, as their associated data names them. The numbers are part of the format.
enum TablePart: UInt8 {
    case data = 1
    /// Filter and index of a run of data blocks.
    case index = 2
    /// The index of the index blocks.
    case top = 3
    case footer = 4
}

/// Where a sealed block is.
struct BlockPlace: Equatable {
    var offset: UInt64
    /// Sealed, with the tag.
    var sizeBytes: Int
}

enum TableFormat {
    /// Also the version of the format: another layout gets another tag, and then no block of it opens here.
    static let tag: UInt64 = 0x3130_6c62_7473_6665  // "efstbl01"
    static let associatedSizeBytes = 40
    static let footerSizeBytes = 64
    static let sealedFooterSizeBytes = footerSizeBytes + CipherSuite.tagSizeBytes
    /// After a block's content: its form, and before that the size when it is compressed.
    static let rawForm: UInt8 = 0
    static let zstdForm: UInt8 = 1

    /// The nonce of a block is its offset: no two blocks of a file share one.
    static func nonce(_ offset: UInt64) -> SealingNonce { SealingNonce(frame: offset, block: 0) }

    /// Binds a block to format, blob, place and part. `tag u64, idHigh u64, idLow u64, offset u64, part u8, zeros`.
    @inline(__always)
    static func withAssociated<R>(_ id: BlobID, _ offset: UInt64, _ part: TablePart, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        var bytes = (
            tag.littleEndian, id.high.littleEndian, id.low.littleEndian, offset.littleEndian, UInt64(part.rawValue).littleEndian
        )
        return withUnsafeBytes(of: &bytes) { body($0) }
    }

    static func damaged(_ id: BlobID, _ message: String) -> Failure {
        Failure(
            .damaged, message, object: "table \(id)",
            hint: "a part of the volume's metadata is damaged; run efs check, and restore the file from a backup")
    }
}

/// The last part of a table. All of it is checked against the file when the table is opened.
struct TableFooter: Equatable {
    var top: BlockPlace
    var recordCount: UInt64
    var deletionCount: UInt64
    var dataBlockCount: UInt32
    var indexBlockCount: UInt32
    /// Of the file, with this footer.
    var fileSizeBytes: UInt64

    static let version: UInt16 = 1

    func encode(into writer: inout ByteWriter) {
        writer.append(Self.version)
        writer.append(UInt16(0))
        writer.append(UInt32(top.sizeBytes))
        writer.append(top.offset)
        writer.append(recordCount)
        writer.append(deletionCount)
        writer.append(dataBlockCount)
        writer.append(indexBlockCount)
        writer.append(fileSizeBytes)
        for _ in 0..<2 { writer.append(UInt64(0)) }
    }

    /// Nil if it does not hold together. `bytes` are authenticated.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard let version = reader.readUInt16(), version == Self.version, reader.readUInt16() != nil,
            let topSize = reader.readUInt32(), let topOffset = reader.readUInt64(), let records = reader.readUInt64(),
            let deletions = reader.readUInt64(), let dataBlocks = reader.readUInt32(), let indexBlocks = reader.readUInt32(),
            let fileSize = reader.readUInt64(), deletions <= records, topOffset < 1 << 48
        else { return nil }
        top = BlockPlace(offset: topOffset, sizeBytes: Int(topSize))
        recordCount = records
        deletionCount = deletions
        dataBlockCount = dataBlocks
        indexBlockCount = indexBlocks
        fileSizeBytes = fileSize
    }

    init(
        top: BlockPlace, recordCount: UInt64, deletionCount: UInt64, dataBlockCount: UInt32, indexBlockCount: UInt32,
        fileSizeBytes: UInt64
    ) {
        self.top = top
        self.recordCount = recordCount
        self.deletionCount = deletionCount
        self.dataBlockCount = dataBlockCount
        self.indexBlockCount = indexBlockCount
        self.fileSizeBytes = fileSizeBytes
    }
}
