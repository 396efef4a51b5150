import Glibc

/// Memory that is given out piece by piece and given back as a whole, when the arena goes. Left out of core dumps.
/// Used by one thread at a time; what it gave out stays where it is.
struct Arena: ~Copyable {
    private var chunks: [UnsafeMutableRawBufferPointer] = []
    private var next: UnsafeMutableRawPointer
    private var remaining = 0
    /// What was given out.
    private(set) var usedBytes = 0

    /// A large page each, where the kernel grants one: searches touch memory all over the arena.
    private static let chunkSizeBytes = 2 << 20

    init() { next = UnsafeMutableRawPointer(bitPattern: 8)! }  // never followed: `remaining` is 0

    deinit {
        for chunk in chunks { munmap(chunk.baseAddress, chunk.count) }
    }

    /// `sizeBytes` of zeros, aligned to 8.
    mutating func allocate(_ sizeBytes: Int) -> UnsafeMutableRawPointer {
        let rounded = (sizeBytes + 7) & ~7
        if rounded > remaining { grow(atLeast: rounded) }
        let result = next
        next += rounded
        remaining -= rounded
        usedBytes += rounded
        return result
    }

    private mutating func grow(atLeast sizeBytes: Int) {
        let size = max(sizeBytes + 4095 & ~4095, Self.chunkSizeBytes)
        let memory = Self.map(size)
        chunks.append(memory)
        next = memory.baseAddress!
        remaining = size
    }

    /// Zeroed pages that are not dumped. Runs out of memory as every allocation does: by a trap.
    static func map(_ sizeBytes: Int) -> UnsafeMutableRawBufferPointer {
        guard let memory = mmap(nil, sizeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
        else { fatalError("no memory for \(sizeBytes) bytes of records") }
        madvise(memory, sizeBytes, MADV_DONTDUMP)
        return UnsafeMutableRawBufferPointer(start: memory, count: sizeBytes)
    }
}
