import ChunkStore
import Records

/// A run of a file's bytes: a part of a chunk, or reserved room that reads as zeros.
struct Extent: Sendable, Equatable {
    var start: UInt64
    /// At least 1.
    var length: UInt64
    /// Nil for reserved room.
    var chunk: ChunkLocation?
    var offsetInChunk: UInt32 = 0

    var end: UInt64 { start + length }

    /// Bytes of a chunk that it keeps alive.
    var liveBytes: Int64 { chunk == nil ? 0 : Int64(length) }

    /// The part of it in `range`, which lies in it.
    func part(from newStart: UInt64, to newEnd: UInt64) -> Extent {
        var part = self
        part.start = newStart
        part.length = newEnd - newStart
        if chunk != nil { part.offsetInChunk += UInt32(newStart - start) }
        return part
    }
}

// MARK: The record: key (inode, end), so that the extent over an offset is the first one after it.
extension Extent {
    private static let reservedFlag: UInt8 = 1

    func encode(into writer: inout ByteWriter) {
        writer.append(chunk == nil ? Self.reservedFlag : 0)
        writer.appendVarint(length)
        guard let chunk else { return }
        writer.appendVarint(chunk.segment)
        writer.appendVarint(UInt64(chunk.frameOffset))
        writer.appendVarint(UInt64(chunk.frame))
        writer.appendVarint(UInt64(chunk.sizeBytes))
        writer.appendVarint(UInt64(offsetInChunk))
        writer.append(chunk.blockSizeLog2)
    }

    /// Nil if it is no extent record, or one that cannot be: outside of its chunk, or of the file.
    static func decode(end: UInt64, _ bytes: UnsafeRawBufferPointer) -> Extent? {
        var reader = ByteReader(bytes)
        guard let flags = reader.readUInt8(), flags & ~reservedFlag == 0, let length = reader.readVarint(), length > 0, length <= end,
            end <= FileLimits.maximumSizeBytes
        else { return nil }
        if flags & reservedFlag != 0 { return reader.isAtEnd ? Extent(start: end - length, length: length) : nil }
        guard let segment = reader.readVarint(), let frameOffset = reader.readVarint32(), let frame = reader.readVarint32(),
            let sizeBytes = reader.readVarint32(), let offset = reader.readVarint32(), let blockSizeLog2 = reader.readUInt8(),
            reader.isAtEnd, sizeBytes <= ChunkLocation.maximumSizeBytes, UInt64(offset) + length <= UInt64(sizeBytes)
        else { return nil }
        let chunk = ChunkLocation(
            segment: segment, frameOffset: frameOffset, frame: frame, sizeBytes: sizeBytes, blockSizeLog2: blockSizeLog2)
        return Extent(start: end - length, length: length, chunk: chunk, offsetInChunk: offset)
    }
}

enum FileLimits {
    /// Largest size of a file, 2^63-1.
    static let maximumSizeBytes = UInt64(Int64.max)
    static let maximumNameBytes = 255
    /// A symbolic link's target.
    static let maximumTargetBytes = 4095
    static let maximumXattrValueBytes = 65_536
    /// All names of an inode's extended attributes, each with its NUL.
    static let maximumXattrListBytes = 65_536
}
