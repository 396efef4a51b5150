import CCryptoBoringSSL

/// SHA-256 over bytes that come piece by piece. The state lies in the value itself: nothing is allocated. One thread at a time.
public struct DigestHasher: ~Copyable {
    private var context = SHA256_CTX()

    public init() { CCryptoBoringSSL_SHA256_Init(&context) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        CCryptoBoringSSL_SHA256_Update(&context, base, bytes.count)
    }

    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    public mutating func update(_ digest: Digest32) { digest.withUnsafeBytes { update($0) } }

    /// Hashes the number's little-endian bytes.
    public mutating func update(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { update($0) }
    }

    /// The digest of all that was given; the hasher is then as new.
    public mutating func finish() -> Digest32 {
        var digest = Digest32.zero
        withUnsafeMutableBytes(of: &digest.words) {
            _ = CCryptoBoringSSL_SHA256_Final($0.assumingMemoryBound(to: UInt8.self).baseAddress!, &context)
        }
        CCryptoBoringSSL_SHA256_Init(&context)
        return digest
    }

    public static func digest(of bytes: UnsafeRawBufferPointer) -> Digest32 {
        var hasher = DigestHasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    public static func digest(of bytes: [UInt8]) -> Digest32 { bytes.withUnsafeBytes { digest(of: $0) } }
}
