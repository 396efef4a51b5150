import CSodium
import Sealing
import Syscalls

/// ChaCha20-Poly1305 (RFC 8439) without associated data, in place, with the key in guarded memory.
enum AgeCipher {
    static let keySizeBytes = 32
    static let tagSizeBytes = 16
    static let nonceSizeBytes = 12

    /// `bytes` is the plaintext and room for the tag behind it.
    static func seal(_ bytes: UnsafeMutableRawBufferPointer, key: SecretBytes, nonce: [UInt8]) {
        precondition(bytes.count >= tagSizeBytes && nonce.count == nonceSizeBytes)
        let start = bytes.assumingMemoryBound(to: UInt8.self).baseAddress!
        key.withUnsafeBytes {
            let key = $0.assumingMemoryBound(to: UInt8.self).baseAddress!
            _ = crypto_aead_chacha20poly1305_ietf_encrypt(start, nil, start, UInt64(bytes.count - tagSizeBytes), nil, 0, nil, nonce, key)
        }
    }

    /// False if the tag does not fit; then nothing of the content may be used.
    static func open(_ bytes: UnsafeMutableRawBufferPointer, key: SecretBytes, nonce: [UInt8]) -> Bool {
        guard bytes.count >= tagSizeBytes else { return false }
        let start = bytes.assumingMemoryBound(to: UInt8.self).baseAddress!
        return key.withUnsafeBytes {
            let key = $0.assumingMemoryBound(to: UInt8.self).baseAddress!
            return crypto_aead_chacha20poly1305_ietf_decrypt(start, nil, nil, start, UInt64(bytes.count), nil, 0, nonce, key) == 0
        }
    }

    private static let zeroNonce = [UInt8](repeating: 0, count: nonceSizeBytes)

    /// The file's key sealed under a key that seals nothing else.
    static func wrap(_ fileKey: SecretBytes, under key: SecretBytes) -> [UInt8] {
        var body = [UInt8](repeating: 0, count: AgeHeader.fileKeySizeBytes + tagSizeBytes)
        body.withMutableBytes { body in
            fileKey.withUnsafeBytes { body.copyMemory(from: $0) }
            seal(body, key: key, nonce: zeroNonce)
        }
        return body
    }

    /// Nil if it was sealed under another key. The caller has checked the size: a longer body could be made to open under many keys.
    static func unwrap(_ body: [UInt8], under key: SecretBytes) -> SecretBytes? {
        precondition(body.count == AgeHeader.fileKeySizeBytes + tagSizeBytes)
        var body = body
        return body.withMutableBytes { body in
            defer { wipe(body) }
            guard open(body, key: key, nonce: zeroNonce) else { return nil }
            return SecretBytes(copying: UnsafeRawBufferPointer(rebasing: body[..<AgeHeader.fileKeySizeBytes]))
        }
    }

    /// The nonce of a block of the payload: a counter, and whether it is the last.
    static func nonce(block index: UInt64, isLast: Bool) -> [UInt8] {
        var nonce = zeroNonce
        for place in 0..<8 { nonce[10 - place] = UInt8(truncatingIfNeeded: index >> UInt64(8 * place)) }
        nonce[11] = isLast ? 1 : 0
        return nonce
    }
}
