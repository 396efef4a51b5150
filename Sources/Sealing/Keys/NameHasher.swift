import CSodium

/// The keyed hash of names in directories: SipHash-2-4 under 128 bits of the volume's key for names. Keyed, so that nobody
/// without the key can make names that collide, and so that a readdir cookie, which other programs see, tells nothing of a
/// name. The key is never changed in the life of a volume, since cookies rest on it. Thread-safe.
public final class NameHasher: Sendable {
    private let key: SecretBytes

    public convenience init(keys: KeyHierarchy) {
        self.init(key: keys.key(for: .names))
    }

    /// The first 16 bytes of `key` are used.
    init(key: SecretBytes) {
        precondition(key.count >= Int(crypto_shorthash_KEYBYTES))
        self.key = key
    }

    /// 63 bits; the top bit is 0, so that the value is also a valid file offset.
    public func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        fullHash(name) & (UInt64.max >> 1)
    }

    /// All 64 bits, as the published vectors have them.
    func fullHash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0
        key.withUnsafeBytes { key in
            withUnsafeMutableBytes(of: &hash) { hash in
                _ = crypto_shorthash(
                    hash.assumingMemoryBound(to: UInt8.self).baseAddress!, name.assumingMemoryBound(to: UInt8.self).baseAddress,
                    UInt64(name.count), key.assumingMemoryBound(to: UInt8.self).baseAddress!)
            }
        }
        return UInt64(littleEndian: hash)
    }
}
