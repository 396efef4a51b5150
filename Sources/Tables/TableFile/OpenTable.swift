import BlobStorage
import Records
import Sealing
import Syscalls

/// A table whose file is open, whose footer is checked and whose top index is in memory. Thread-safe.
///
/// Every block is authenticated as this blob's, at this offset, of this part, before a byte of it is looked at; what it
/// says is still bounded after that.
final class OpenTable: Sendable {
    let id: BlobID
    let footer: TableFooter
    let top: RecordBlock
    private let blob: any ReadableBlob
    private let cipher: BlobCipher

    /// Read at once when opening: the footer and, of all but huge tables, the top index.
    private static let tailSizeBytes = 8 << 10
    /// A sealed block can be no larger.
    private static let sealedLimitBytes = TableLimit.blockSizeBytes + CipherSuite.tagSizeBytes + 8

    init(_ info: TableInfo, storage: any BlobStorage, keys: KeyHierarchy, scratch: BlockScratch) throws(Failure) {
        id = info.id
        cipher = keys.cipher(for: .table, high: id.high, low: id.low)
        blob = try Self.openBlob(info.id, storage)
        let size = Int(info.sizeBytes)
        guard size > TableFormat.sealedFooterSizeBytes, try blob.sizeBytes() == info.sizeBytes else {
            throw TableFormat.damaged(id, "the file does not have the size that the manifest says")
        }
        let tail = scratch.bytes(min(size, Self.tailSizeBytes))
        let tailStart = size - tail.count
        guard try blob.read(at: UInt64(tailStart), into: tail) == tail.count else {
            throw TableFormat.damaged(id, "the file ends too early")
        }
        footer = try Self.openFooter(tail, info, cipher)
        let place = footer.top
        let start = Int(place.offset) - tailStart
        if start >= 0 {
            let sealed = UnsafeMutableRawBufferPointer(rebasing: tail[start..<start + place.sizeBytes])
            top = try Self.open(sealed, place, .top, id, cipher, scratch)
        } else {
            let sealed = scratch.bytes(place.sizeBytes)
            guard try blob.read(at: place.offset, into: sealed) == sealed.count else {
                throw TableFormat.damaged(id, "the file ends too early")
            }
            top = try Self.open(sealed, place, .top, id, cipher, scratch)
        }
    }

    private static func openBlob(_ id: BlobID, _ storage: any BlobStorage) throws(Failure) -> any ReadableBlob {
        do {
            return try storage.openBlob(id)
        } catch  where error.kind == .missing {
            throw TableFormat.damaged(id, "the file is missing")
        }
    }

    private static func openFooter(
        _ tail: UnsafeMutableRawBufferPointer, _ info: TableInfo, _ cipher: BlobCipher
    ) throws(Failure) -> TableFooter {
        let sealed = UnsafeMutableRawBufferPointer(rebasing: tail[(tail.count - TableFormat.sealedFooterSizeBytes)...])
        let offset = info.sizeBytes - UInt64(TableFormat.sealedFooterSizeBytes)
        guard authenticate(sealed, offset, .footer, info.id, cipher) else {
            throw TableFormat.damaged(info.id, "the footer does not authenticate")
        }
        let plain = UnsafeRawBufferPointer(rebasing: sealed[..<TableFormat.footerSizeBytes])
        guard let footer = TableFooter(plain), footer.fileSizeBytes == info.sizeBytes, footer.recordCount == info.recordCount,
            footer.deletionCount == info.deletionCount, footer.top.sizeBytes <= sealedLimitBytes,
            footer.top.offset + UInt64(footer.top.sizeBytes) == offset
        else { throw TableFormat.damaged(info.id, "the footer does not fit the manifest") }
        return footer
    }

    private static func authenticate(
        _ sealed: UnsafeMutableRawBufferPointer, _ offset: UInt64, _ part: TablePart, _ id: BlobID, _ cipher: BlobCipher
    ) -> Bool {
        TableFormat.withAssociated(id, offset, part) { associated in
            cipher.withContext { context in
                context.open(UnsafeRawBufferPointer(sealed), nonce: TableFormat.nonce(offset), authenticating: associated, into: sealed)
            }
        }
    }

    // MARK: Blocks

    /// Reads and opens one block.
    func block(_ place: BlockPlace, _ part: TablePart, _ scratch: BlockScratch) throws(Failure) -> RecordBlock {
        try check(place)
        let sealed = scratch.bytes(place.sizeBytes)
        try read(at: place.offset, into: sealed)
        return try Self.open(sealed, place, part, id, cipher, scratch)
    }

    /// Opens a block whose sealed bytes were read already; they are written over. The place was checked.
    func block(sealed: UnsafeMutableRawBufferPointer, _ place: BlockPlace, _ part: TablePart, _ scratch: BlockScratch) throws(Failure)
        -> RecordBlock
    {
        try Self.open(sealed, place, part, id, cipher, scratch)
    }

    /// Blocks end before the top index does.
    func check(_ place: BlockPlace) throws(Failure) {
        let limit = footer.top.offset + UInt64(footer.top.sizeBytes)
        guard place.sizeBytes > CipherSuite.tagSizeBytes, place.sizeBytes <= Self.sealedLimitBytes, place.offset <= limit,
            UInt64(place.sizeBytes) <= limit - place.offset
        else { throw TableFormat.damaged(id, "the index names a block outside the file") }
    }

    var blocksEnd: UInt64 { footer.top.offset }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) {
        guard try blob.read(at: offset, into: buffer) == buffer.count else {
            throw TableFormat.damaged(id, "the file ends too early")
        }
    }

    private static func open(
        _ sealed: UnsafeMutableRawBufferPointer, _ place: BlockPlace, _ part: TablePart, _ id: BlobID, _ cipher: BlobCipher,
        _ scratch: BlockScratch
    ) throws(Failure) -> RecordBlock {
        guard authenticate(sealed, place.offset, part, id, cipher) else {
            throw TableFormat.damaged(id, "the block at \(place.offset) does not authenticate")
        }
        let plain = UnsafeRawBufferPointer(rebasing: sealed[..<(sealed.count - CipherSuite.tagSizeBytes)])
        do {
            return try decode(plain, scratch)
        } catch {
            throw malformed(id, place)
        }
    }

    static func malformed(_ id: BlobID, _ place: BlockPlace) -> Failure {
        TableFormat.damaged(id, "the block at \(place.offset) does not hold together")
    }

    /// `content, form u8`, or `compressed, sizeBytes u32, form u8`.
    private static func decode(_ plain: UnsafeRawBufferPointer, _ scratch: BlockScratch) throws(Malformed) -> RecordBlock {
        guard let form = plain.last else { throw Malformed() }
        switch form {
        case TableFormat.rawForm:
            let content = UnsafeRawBufferPointer(rebasing: plain[..<(plain.count - 1)])
            return try RecordBlock(sizeBytes: content.count) {
                $0.copyMemory(from: content)
                return true
            }
        case TableFormat.zstdForm where plain.count >= 5:
            let compressed = UnsafeRawBufferPointer(rebasing: plain[..<(plain.count - 5)])
            let size = Int(UInt32(littleEndian: plain.loadUnaligned(fromByteOffset: plain.count - 5, as: UInt32.self)))
            guard size <= TableLimit.blockSizeBytes else { throw Malformed() }
            return try RecordBlock(sizeBytes: size) { scratch.decompress(compressed, into: $0) }
        default:
            throw Malformed()
        }
    }
}

extension BlockCursor {
    /// The value of an index record: `offset varint, sizeBytes varint`.
    func place() throws(Malformed) -> BlockPlace {
        var reader = ByteReader(value)
        guard let offset = reader.readVarint(), let size = reader.readVarint(), reader.isAtEnd, offset < 1 << 48, size < 1 << 31
        else { throw Malformed() }
        return BlockPlace(offset: offset, sizeBytes: Int(size))
    }
}
