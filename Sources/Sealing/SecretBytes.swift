import CSodium

/// Secret bytes in guarded memory (libsodium's `sodium_malloc`): locked against swapping, left out of core dumps, between
/// guard pages, wiped when the last reference goes. The length is fixed.
public final class SecretBytes: @unchecked Sendable {
    // @unchecked: the bytes are written only in `init`, before the object is shared.
    private let base: UnsafeMutableRawPointer
    public let count: Int

    /// Calls `fill` once with the new, zeroed memory.
    public init(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        precondition(sodium_init() >= 0, "libsodium cannot start")
        guard let memory = sodium_malloc(max(count, 1)) else { fatalError("no memory for a secret of \(count) bytes") }
        base = memory
        self.count = count
        sodium_memzero(base, count)
        fill(UnsafeMutableRawBufferPointer(start: base, count: count))
        sodium_mprotect_readonly(base)
    }

    /// Random bytes from the operating system.
    public static func random(count: Int) -> SecretBytes {
        SecretBytes(count: count) { randombytes_buf($0.baseAddress!, count) }
    }

    deinit { sodium_free(base) }

    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: base, count: count))
    }
}
