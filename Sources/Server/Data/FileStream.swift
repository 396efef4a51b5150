import FileSystem
import HTTPTypes
import HummingbirdCore
import NIOCore
import SystemPackage

/// Holds a file for as long as somebody reads it, whatever becomes of its name.
final class RetainedInode: Sendable {
    let inode: InodeID
    private let fileSystem: ServedFileSystem

    /// Takes over what `find(retaining:)` retained.
    init(_ inode: InodeID, _ fileSystem: ServedFileSystem) {
        self.inode = inode
        self.fileSystem = fileSystem
    }

    deinit { fileSystem.release(inode) }
}

/// Sends a range of a file in large pieces; while one is sent the next ones are read. Pieces come from the decrypted cache, or go there.
struct FileStream: Sendable {
    let fileSystem: ServedFileSystem
    let threads: EngineThreads
    let cache: DecryptedCache
    let clock: WallClock
    let file: RetainedInode
    let attributes: Attributes
    let range: Range<UInt64>

    func write(to writer: inout any ResponseBodyWriter) async throws {
        let pieceBytes = UInt64(DecryptedCache.pieceBytes)
        var position = range.lowerBound
        // The next ones, in their order.
        var pieces: [Piece] = []
        while position < range.upperBound || !pieces.isEmpty {
            while position < range.upperBound, pieces.count < Self.readAheadCount {
                pieces.append(piece(at: position))
                position = (position / pieceBytes + 1) * pieceBytes
            }
            switch pieces.removeFirst() {
            case .ready(let bytes): try await writer.write(bytes)
            case .reading(let task): try await writer.write(try await task.value.get())
            }
        }
        try await writer.finish(nil)
    }

    private static let readAheadCount = 3

    private enum Piece {
        case ready(ByteBuffer)
        /// It holds the file, so it may outlive the stream.
        case reading(Task<Result<ByteBuffer, Problem>, Never>)
    }

    /// From `position` to the end of its piece, or of the range: from memory, or on its way.
    private func piece(at position: UInt64) -> Piece {
        let pieceBytes = UInt64(DecryptedCache.pieceBytes)
        let start = position / pieceBytes * pieceBytes
        let wanted = Int(position - start)..<Int(min(range.upperBound, start + pieceBytes) - start)
        let key = attributes.cacheKey(fileSystem, piece: position / pieceBytes)
        if cache.isEnabled, let bytes = cache.read(key, wanted, now: clock.monotonic()) { return .ready(bytes) }
        return .reading(
            Task {
                do throws(Problem) { return .success(try await read(wanted, from: start, key)) } catch { return .failure(error) }
            })
    }

    /// Fails when the file was changed in place meanwhile (through a mount): what was sent so far is of another state.
    private func read(_ wanted: Range<Int>, from start: UInt64, _ key: DecryptedCache.Key) async throws(Problem) -> ByteBuffer {
        let pieceBytes = UInt64(DecryptedCache.pieceBytes)
        let (fileSystem, opened, inode, cache, clock) = (fileSystem, attributes, file.inode, cache, clock)
        return try await threads.run { () throws(Problem) in
            // The whole piece, if it is to be kept.
            let from = cache.isEnabled ? 0 : wanted.lowerBound
            let count = cache.isEnabled ? Int(min(pieceBytes, opened.sizeBytes - start)) : wanted.count
            let bytes = try fileSystem.read(inode, at: start + UInt64(from), count: count)
            let now = try fileSystem.engine { (files) throws(Errno) in try files.attributes(inode) }
            // A piece is all of its range, so that the next one is where it is expected.
            guard now.modificationTime == opened.modificationTime, now.sizeBytes == opened.sizeBytes,
                let part = bytes.getSlice(at: bytes.readerIndex + wanted.lowerBound - from, length: wanted.count)
            else { throw Problem(.conflict, "conflict", "the file was changed while it was read") }
            if cache.isEnabled, now.changeCounter == opened.changeCounter { cache.insert(key, bytes, now: clock.monotonic()) }
            return part
        }
    }
}

extension Attributes {
    func cacheKey(_ fileSystem: ServedFileSystem, piece: UInt64) -> DecryptedCache.Key {
        DecryptedCache.Key(fileSystem: fileSystem.cacheNumber, inode: inode.rawValue, changeCounter: changeCounter, piece: piece)
    }
}

extension ServedFileSystem {
    /// Up to `count` bytes; fewer at the end of the file.
    func read(_ inode: InodeID, at offset: UInt64, count: Int) throws(Problem) -> ByteBuffer {
        var buffer = ByteBuffer()
        var failure: Problem?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            do throws(Problem) {
                return try engine { (files) throws(Errno) in
                    try files.read(inode, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
                }
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return buffer
    }
}
