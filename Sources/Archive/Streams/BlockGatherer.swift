import Syscalls

/// Cuts what is written in any portions into blocks of one size. A block goes out when the next byte comes, so the last one,
/// which may be shorter, is known as such.
struct BlockGatherer {
    private let buffer: StageBuffer
    private var count = 0

    init(blockSizeBytes: Int) { buffer = StageBuffer(count: blockSizeBytes) }

    /// Calls `body` with each block that is full and not the last.
    mutating func add(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            if count == buffer.count {
                count = 0
                try body(UnsafeRawBufferPointer(buffer.bytes))
            }
            let portion = min(rest.count, buffer.count - count)
            buffer[count..<count + portion].copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<portion]))
            count += portion
            rest = UnsafeRawBufferPointer(rebasing: rest[portion...])
        }
    }

    /// The last block; empty only if nothing was added at all.
    var last: UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffer[0..<count]) }
}
