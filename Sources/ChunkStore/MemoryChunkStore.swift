public import Records
import Synchronization
public import Syscalls

/// A chunk store in memory, for tests of the layers above: small segments, chunks that can be counted, segments that can be
/// taken away as cleaning does, and faults. Thread-safe, by one lock.
public final class MemoryChunkStore: ChunkStore {
    public enum Call: Sendable { case read, write }

    /// What a chunk's sealed header would say.
    public struct Chunk: Sendable {
        public var location: ChunkLocation
        public var inode: UInt64
        public var fileOffset: UInt64
        var content: [UInt8]
    }

    private struct Segment: Sendable {
        var chunks: [Chunk] = []
        var sizeBytes = 0
    }

    private struct State: Sendable {
        var segments: [UInt64: Segment] = [:]
        var active: UInt64 = 1
        var bytesWritten: [UInt64: Int] = [:]
        var bytesAbandoned: [UInt64: Int] = [:]
    }

    private let state = Mutex(State())
    private let fault = Mutex<(@Sendable (Call) -> Failure?)?>(nil)
    private let segmentLimitBytes: Int

    public init(segmentLimitBytes: Int = 64 << 20) { self.segmentLimitBytes = segmentLimitBytes }

    public func write(_ data: UnsafeRawBufferPointer, inode: UInt64, fileOffset: UInt64) throws(Failure) -> ChunkLocation {
        precondition(data.count >= 1 && data.count <= ChunkLocation.maximumSizeBytes, "a chunk has 1 byte to 1 MiB")
        if let failure = fault.withLock({ $0?(.write) }) { throw failure }
        return state.withLock { state in
            if let segment = state.segments[state.active], segment.sizeBytes >= segmentLimitBytes { state.active += 1 }
            var segment = state.segments.removeValue(forKey: state.active) ?? Segment()
            let location = ChunkLocation(
                segment: state.active, frameOffset: UInt32(truncatingIfNeeded: segment.sizeBytes), frame: UInt32(segment.chunks.count),
                sizeBytes: UInt32(data.count), blockSizeLog2: 12)
            segment.chunks.append(Chunk(location: location, inode: inode, fileOffset: fileOffset, content: [UInt8](data)))
            segment.sizeBytes += data.count
            state.segments[state.active] = segment
            state.bytesWritten[state.active, default: 0] += data.count
            return location
        }
    }

    public func read(_ chunk: ChunkLocation, from offset: Int, into output: UnsafeMutableRawBufferPointer) throws(Failure) {
        if let failure = fault.withLock({ $0?(.read) }) { throw failure }
        let failure: Failure? = state.withLock { state in
            guard let segment = state.segments[chunk.segment] else { return Failure(.missing, "the segment is gone") }
            guard chunk.frame < segment.chunks.count, segment.chunks[Int(chunk.frame)].location == chunk, offset >= 0,
                offset + output.count <= Int(chunk.sizeBytes)
            else { return Failure(.damaged, "no such chunk") }
            segment.chunks[Int(chunk.frame)].content.withUnsafeBytes {
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + output.count]))
            }
            return nil
        }
        if let failure { throw failure }
    }
}

// MARK: What tests ask for
extension MemoryChunkStore {
    public func abandon(_ chunk: ChunkLocation) {
        state.withLock { $0.bytesAbandoned[chunk.segment, default: 0] += Int(chunk.sizeBytes) }
    }

    /// Bytes that were written to each segment and then given up, by its number.
    public var abandonedBySegment: [UInt64: Int] { state.withLock { $0.bytesAbandoned } }

    /// `fault` is asked before each call; the call fails with what it returns.
    public func setFault(_ newFault: (@Sendable (Call) -> Failure?)?) { fault.withLock { $0 = newFault } }

    /// Numbers of the segments that are there, in order.
    public var segments: [UInt64] { state.withLock { $0.segments.keys.sorted() } }

    /// Bytes that were written to each segment, by its number.
    public var writtenBySegment: [UInt64: Int] { state.withLock { $0.bytesWritten } }

    public var bytesWritten: Int { writtenBySegment.values.reduce(0, +) }

    public func chunks(of segment: UInt64) -> [Chunk] { state.withLock { $0.segments[segment]?.chunks ?? [] } }

    /// Ends the active segment: later chunks go to a new one.
    /// - Returns: the number of the segment that was ended.
    @discardableResult
    public func closeSegment() -> UInt64 {
        state.withLock { state in
            state.active += 1
            return state.active - 1
        }
    }

    /// Takes a segment away, as a cleaner does that moved its live data.
    public func removeSegment(_ segment: UInt64) {
        state.withLock { state in
            state.segments[segment] = nil
            if state.active == segment { state.active += 1 }
        }
    }
}
