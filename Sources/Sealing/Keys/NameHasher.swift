// BoringSSL's SipHash; see CipherContext.swift for why it is called directly.
import CCryptoBoringSSL

/// The keyed hash of names in directories: SipHash-2-4 under 128 bits of the volume's key for names. Keyed, so that nobody
/// without the key can make names that collide, and so that a readdir cookie, which other programs see, tells nothing of a
/// name. The key is never changed in the life of a volume, since cookies rest on it. Thread-safe.
public final class NameHasher: @unchecked Sendable {
    // @unchecked: `words` points into `key`, which is never written after it was filled.
    private let key: SecretBytes
    /// The key where it lies: the hash is taken for each lookup, so nothing is copied.
    private let words: UnsafePointer<UInt64>

    public convenience init(keys: KeyHierarchy) {
        self.init(key: keys.key(for: .names))
    }

    /// The first 16 bytes of `key` are used.
    init(key: SecretBytes) {
        self.key = key
        words = key.withUnsafeBytes { bytes in
            precondition(bytes.count >= 16, "SipHash has a key of 16 bytes")
            // Guarded memory ends at a page's end, so a multiple of 16 bytes is aligned to 16.
            precondition(UInt(bitPattern: bytes.baseAddress) % 8 == 0, "keys have whole words")
            return bytes.assumingMemoryBound(to: UInt64.self).baseAddress!
        }
    }

    /// 63 bits; the top bit is 0, so that the value is also a valid file offset.
    public func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        fullHash(name) & (UInt64.max >> 1)
    }

    /// All 64 bits, as the published vectors have them.
    func fullHash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        CCryptoBoringSSL_SIPHASH_24(words, name.assumingMemoryBound(to: UInt8.self).baseAddress, name.count)
    }
}
