import CSodium
import Glibc

/// Secret bytes in guarded memory (libsodium's `sodium_malloc`): locked against swapping, left out of core dumps, between
/// guard pages, read-only once filled, wiped when the last reference goes. The length is fixed. It never shows its bytes in a
/// description, a dump or a mirror.
public final class SecretBytes: @unchecked Sendable {
    // @unchecked: the bytes are written only in `init`, before the object is shared.
    private let base: UnsafeMutableRawPointer
    public let count: Int

    /// Calls `fill` once with the new, zeroed memory.
    public init<E: Error>(count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
        precondition(count >= 0)
        precondition(sodium_init() >= 0, "libsodium cannot start")
        guard let memory = sodium_malloc(max(count, 1)) else { fatalError("no memory for a secret of \(count) bytes") }
        base = memory
        self.count = count
        // sodium_malloc does not say whether it could lock; locking again costs little and tells.
        if mlock(base, max(count, 1)) != 0 { SecretMemory.noteUnlocked() }
        sodium_memzero(base, count)
        try fill(UnsafeMutableRawBufferPointer(start: base, count: count))
        sodium_mprotect_readonly(base)
    }

    /// Copies `bytes`; wiping the original is the caller's.
    public convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(count: bytes.count) { $0.copyMemory(from: bytes) }
    }

    /// Random bytes from the operating system.
    public static func random(count: Int) -> SecretBytes {
        SecretBytes(count: count) { randombytes_buf($0.baseAddress!, count) }
    }

    deinit { sodium_free(base) }

    @inline(__always)
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Whether both hold the same bytes, in a time that depends on the lengths alone.
    public func constantTimeEquals(_ other: SecretBytes) -> Bool {
        withUnsafeBytes { mine in other.withUnsafeBytes { Sealing.constantTimeEquals(mine, $0) } }
    }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "<\(count) secret bytes>" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Whether two runs of bytes are equal, in a time that depends on their lengths alone.
public func constantTimeEquals(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let first = a.baseAddress, let second = b.baseAddress else { return true }
    return sodium_memcmp(first, second, a.count) == 0
}

/// Wipes memory that held a secret; the compiler cannot leave it out.
public func wipe(_ memory: UnsafeMutableRawBufferPointer) {
    if let base = memory.baseAddress { sodium_memzero(base, memory.count) }
}
