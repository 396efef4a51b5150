import NIOCore
import NIOPosix

/// Runs calls that wait for a disk on threads of their own, so that they hold up no other task.
enum BlockingCalls {
    /// What is read or written at once, in bytes.
    static let pieceSizeBytes = 256 << 10

    static func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    /// A piece that `fill` fills, up to `pieceSizeBytes` and `limit`; nil if it fills nothing.
    static func piece(
        upTo limit: Int, _ fill: @escaping @Sendable (UnsafeMutableRawBufferPointer) throws -> Int
    ) async throws -> ByteBuffer? {
        let size = min(limit, pieceSizeBytes)
        guard size > 0 else { return nil }
        return try await run {
            var buffer = ByteBufferAllocator().buffer(capacity: size)
            let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) {
                try fill(UnsafeMutableRawBufferPointer(rebasing: $0[..<size]))
            }
            return count > 0 ? buffer : nil
        }
    }
}
