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

/// Sends a range of a file in large steps; while one is sent the next is read.
struct FileStream: Sendable {
    static let stepBytes = 512 << 10

    let fileSystem: ServedFileSystem
    let threads: EngineThreads
    let file: RetainedInode
    let attributes: Attributes
    let range: Range<UInt64>

    func write(to writer: inout any ResponseBodyWriter) async throws {
        var position = range.lowerBound
        var next = try await read(at: position)
        while position < range.upperBound {
            let step = next
            position += UInt64(step.readableBytes)
            if position < range.upperBound {
                let start = position
                async let following = read(at: start)
                try await writer.write(step)
                next = try await following
            } else {
                try await writer.write(step)
            }
        }
        try await writer.finish(nil)
    }

    /// Fails when the file was changed in place meanwhile (through a mount): what was sent so far is of another state.
    private func read(at position: UInt64) async throws(Problem) -> ByteBuffer {
        let count = Int(min(UInt64(Self.stepBytes), range.upperBound - position))
        let (fileSystem, inode, opened) = (fileSystem, file.inode, attributes)
        return try await threads.run { () throws(Problem) in
            let bytes = try fileSystem.read(inode, at: position, count: count)
            let now = try fileSystem.engine { (files) throws(Errno) in try files.attributes(inode) }
            guard now.modificationTime == opened.modificationTime, now.sizeBytes == opened.sizeBytes, bytes.readableBytes == count else {
                throw Problem(.conflict, "conflict", "the file was changed while it was read")
            }
            return bytes
        }
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
