import Crypto

/// HKDF-SHA256 (RFC 5869) and HMAC-SHA256 (RFC 2104) with keys in guarded memory.
public enum KeyDerivation {
    public static let keySizeBytes = 32

    /// 32 bytes derived from `secret`, in guarded memory.
    public static func derive(from secret: SecretBytes, salt: [UInt8], info: [UInt8]) -> SecretBytes {
        withDerivedKey(from: secret, salt: salt, info: info) { SecretBytes(copying: $0) }
    }

    /// Lends 32 derived bytes to `body`; they are wiped when it returns.
    static func withDerivedKey<R>(
        from secret: SecretBytes, salt: [UInt8], info: [UInt8], count: Int = keySizeBytes, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R {
        // SymmetricKey wipes its memory when it goes, so no copy stays on the heap.
        let derived = secret.withUnsafeBytes {
            HKDF<SHA256>.deriveKey(inputKeyMaterial: SymmetricKey(data: $0), salt: salt, info: info, outputByteCount: count)
        }
        return derived.withUnsafeBytes { body($0) }
    }

    /// HMAC-SHA256 of `bytes`. Compare with `constantTimeEquals`.
    public static func authenticationCode(of bytes: UnsafeRawBufferPointer, key: SecretBytes) -> Digest32 {
        var code = HMAC<SHA256>(key: key.withUnsafeBytes { SymmetricKey(data: $0) })
        code.update(data: bytes)
        guard let digest = code.finalize().withUnsafeBytes({ Digest32($0) }) else { fatalError("SHA-256 gives 32 bytes") }
        return digest
    }
}
