public import Log
public import Records
public import Syscalls

/// The file data of a volume in its own log.
public final class EmbeddedChunkStore: ChunkStore {
    private let log: VolumeLog

    public init(_ log: VolumeLog) { self.log = log }

    public func write(_ data: UnsafeRawBufferPointer, inode: UInt64, fileOffset: UInt64) throws(Failure) -> ChunkLocation {
        try log.writeChunk(data, inode: inode, fileOffset: fileOffset)
    }

    public func read(_ chunk: ChunkLocation, from offset: Int, into output: UnsafeMutableRawBufferPointer) throws(Failure) {
        try log.readChunk(chunk, from: offset, into: output)
    }

    public func abandon(_ chunk: ChunkLocation) { log.abandonChunk(chunk) }
}
