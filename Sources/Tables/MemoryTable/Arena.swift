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

    private static let firstChunkSizeBytes = 64 << 10

    init() { next = UnsafeMutableRawPointer(bitPattern: 8)! }  // never followed: `remaining` is 0

    deinit {
        for chunk in chunks { munmap(chunk.baseAddress, chunk.count) }
    }

    /// As `allocate`, but starting 16 bytes before a multiple of 32.
    mutating func allocateNode(_ sizeBytes: Int) -> UnsafeMutableRawPointer {
        let skipped = Int((16 &- UInt(bitPattern: next)) & 31)
        if remaining >= skipped {
            next += skipped
            remaining -= skipped
            usedBytes += skipped
        }
        return allocate(sizeBytes)
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
        let needed = (sizeBytes + 16 + 4095) & ~4095
        // The first piece is small: an arena is made while others wait, and a large page takes time to clear.
        let isFirst = chunks.isEmpty && needed <= Self.firstChunkSizeBytes
        let memory = isFirst ? Self.map(Self.firstChunkSizeBytes) : Self.mapLarge(max(needed, Self.chunkSizeBytes))
        let size = memory.count
        chunks.append(memory)
        next = memory.baseAddress! + 16
        remaining = size - 16
    }

    /// As `map`, on large pages if the kernel has some: the memory starts where one can.
    static func mapLarge(_ sizeBytes: Int) -> UnsafeMutableRawBufferPointer {
        let large = 2 << 20
        let memory = map(sizeBytes + large)
        let start = UInt(bitPattern: memory.baseAddress!)
        let skipped = Int((start + UInt(large - 1)) & ~UInt(large - 1) - start)
        let aligned = UnsafeMutableRawBufferPointer(rebasing: memory[skipped..<skipped + sizeBytes])
        if skipped > 0 { munmap(memory.baseAddress, skipped) }
        munmap(aligned.baseAddress! + sizeBytes, large - skipped)
        madvise(aligned.baseAddress, sizeBytes, MADV_HUGEPAGE)
        return aligned
    }

    /// Zeroed pages that are not dumped. Runs out of memory as every allocation does: by a trap.
    static func map(_ sizeBytes: Int) -> UnsafeMutableRawBufferPointer {
        guard let memory = mmap(nil, sizeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
        else { fatalError("no memory for \(sizeBytes) bytes of records") }
        madvise(memory, sizeBytes, MADV_DONTDUMP)
        return UnsafeMutableRawBufferPointer(start: memory, count: sizeBytes)
    }
}
