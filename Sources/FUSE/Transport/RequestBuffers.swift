import Glibc

/// The memory of one worker: where a request arrives and where its reply is built. Not shared between threads.
///
/// Both lie so that bulk data (of WRITE, of READ) begins at a page: the kernel then copies whole pages.
struct RequestBuffers: ~Copyable {
    private static let pageSizeBytes = 4096
    /// Header and structure of WRITE, which come before its data.
    private static let writeHeadSizeBytes = MemoryLayout<InHeader>.size + MemoryLayout<WriteIn>.size

    private let sizeBytes: Int
    private let requestMemory: UnsafeMutableRawPointer
    private let replyMemory: UnsafeMutableRawPointer
    /// Where a request is read to.
    let request: UnsafeMutableRawBufferPointer
    /// Payload of the reply; the header goes right before it.
    let replyPayload: UnsafeMutableRawBufferPointer

    init(maxTransferBytes: Int) {
        let page = Self.pageSizeBytes
        let size = page + max(maxTransferBytes, 128 << 10) + page
        sizeBytes = size
        // Untouched pages cost nothing, so a worker that sees only small requests stays small.
        requestMemory = .allocate(byteCount: size, alignment: page)
        replyMemory = .allocate(byteCount: size, alignment: page)
        let head = page - Self.writeHeadSizeBytes
        request = UnsafeMutableRawBufferPointer(start: requestMemory + head, count: size - head)
        replyPayload = UnsafeMutableRawBufferPointer(start: replyMemory + page, count: size - page)
    }

    deinit {
        requestMemory.deallocate()
        replyMemory.deallocate()
    }

    /// The whole reply, header put before the payload.
    func message(_ unique: UInt64, error: Int32, payloadSizeBytes: Int) -> UnsafeRawBufferPointer {
        let size = MemoryLayout<OutHeader>.size + payloadSizeBytes
        let start = replyMemory + (Self.pageSizeBytes - MemoryLayout<OutHeader>.size)
        start.storeBytes(of: OutHeader(lengthBytes: UInt32(size), error: error, unique: unique), as: OutHeader.self)
        return UnsafeRawBufferPointer(start: start, count: size)
    }

    /// Gives the memory's pages back to the system; what is in them is lost.
    func giveBack() {
        for memory in [requestMemory, replyMemory] { madvise(memory, sizeBytes, MADV_DONTNEED) }
    }
}
