import CZstd
import Synchronization

/// A buffer for sealed bytes and a decompressor, lent to one reader at a time.
final class BlockScratch: @unchecked Sendable {
    // @unchecked: handed from thread to thread by the pool's lock, never used by two at once.
    private var buffer: UnsafeMutableRawBufferPointer
    private let context: OpaquePointer

    init(sizeBytes: Int = 32 << 10) {
        guard let context = ZSTD_createDCtx() else { fatalError("no memory for a decompressor") }
        self.context = context
        buffer = .allocate(byteCount: sizeBytes, alignment: 64)
    }

    deinit {
        ZSTD_freeDCtx(context)
        buffer.deallocate()
    }

    /// `count` bytes to read into. What they held may be gone.
    func bytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > buffer.count {
            buffer.deallocate()
            buffer = .allocate(byteCount: count, alignment: 64)
        }
        return UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    }

    /// False unless the compressed bytes fill `output` exactly.
    func decompress(_ compressed: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        ZSTD_decompressDCtx(context, output.baseAddress, output.count, compressed.baseAddress, compressed.count) == output.count
    }
}

/// Idle scratches, few: one per thread that reads at the same time.
final class BlockScratchPool: Sendable {
    private let idle = Mutex<[BlockScratch]>([])
    private static let idleLimit = 8

    func take() -> BlockScratch { idle.withLock { $0.popLast() } ?? BlockScratch() }

    func give(_ scratch: BlockScratch) { idle.withLock { if $0.count < Self.idleLimit { $0.append(scratch) } } }
}
