import CSodium
import Glibc
import Synchronization

/// Pieces of one size for expanded keys: locked against swapping, left out of core dumps, zero in a forked child, wiped when
/// freed. libsodium's guarded memory takes four pages and six system calls for each secret, too much for a key per open blob.
///
/// Memory comes from the system in regions, which are kept for the next secrets: what a process holds is bounded by the most
/// blobs that it ever had open at once (0.6 KiB each). At the limit on locked memory (RLIMIT_MEMLOCK) regions are still left
/// out of core dumps but may be swapped; `SecretMemory.isFullyLocked` then says so. Thread-safe.
final class LockedSlots: Sendable {
    /// Free slots are linked through their first word, by address.
    private let firstFree = Mutex<UInt>(0)
    private let slotSizeBytes: Int
    private static let regionSizeBytes = 128 << 10

    init(slotSizeBytes: Int) {
        // A multiple of a cache line, so that no two keys share one, and any alignment that is asked for is given.
        self.slotSizeBytes = (slotSizeBytes + 63) & ~63
        precondition(self.slotSizeBytes <= Self.regionSizeBytes)
    }

    /// A zeroed slot, aligned to 64 bytes.
    func allocate() -> UnsafeMutableRawPointer {
        firstFree.withLock { first in
            if first == 0 { first = addRegion() }
            guard let slot = UnsafeMutableRawPointer(bitPattern: first) else { fatalError("addRegion gives at least one slot") }
            first = slot.load(as: UInt.self)
            slot.storeBytes(of: 0, as: UInt.self)
            return slot
        }
    }

    /// Wipes the slot and takes it back.
    func free(_ slot: UnsafeMutableRawPointer) {
        sodium_memzero(slot, slotSizeBytes)
        firstFree.withLock { first in
            slot.storeBytes(of: first, as: UInt.self)
            first = UInt(bitPattern: slot)
        }
    }

    /// Maps a region, links its slots and returns the first one's address.
    private func addRegion() -> UInt {
        let size = Self.regionSizeBytes
        guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED else {
            fatalError("no memory for keys")
        }
        madvise(base, size, MADV_DONTDUMP)
        madvise(base, size, MADV_WIPEONFORK)
        if mlock(base, size) != 0 { SecretMemory.noteUnlocked() }
        var next: UInt = 0
        for index in (0..<size / slotSizeBytes).reversed() {
            let slot = base + index * slotSizeBytes
            slot.storeBytes(of: next, as: UInt.self)
            next = UInt(bitPattern: slot)
        }
        return next
    }
}
