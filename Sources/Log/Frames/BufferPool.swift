import Synchronization

/// Page-aligned buffers for whole frames, kept for the next use, so that no frame costs a mapping. A few, each of the largest
/// frame's size: its memory is bounded by the number of threads that seal or open at one time.
final class BufferPool: Sendable {
    static let bufferSizeBytes =
        FrameHeader(
            kind: .chunk, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: FrameHeader.maximumPayloadSizeBytes
        ).frameSizeBytes + 4096

    private struct Idle: @unchecked Sendable {
        // @unchecked: the pointers are owned by the pool while they are in this list.
        var buffers: [UnsafeMutableRawPointer] = []
    }

    private let idle = Mutex(Idle())
    private let limit = 8

    deinit { idle.withLock { $0.buffers.forEach { $0.deallocate() } } }

    func withBuffer<R, E: Error>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let buffer = idle.withLock { $0.buffers.popLast() } ?? .allocate(byteCount: Self.bufferSizeBytes, alignment: 4096)
        defer {
            let kept = idle.withLock { idle in
                if idle.buffers.count >= limit { return false }
                idle.buffers.append(buffer)
                return true
            }
            if !kept { buffer.deallocate() }
        }
        return try body(UnsafeMutableRawBufferPointer(start: buffer, count: Self.bufferSizeBytes))
    }
}
