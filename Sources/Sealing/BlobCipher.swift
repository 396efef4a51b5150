import CLibcrypto
import Glibc
import Synchronization

/// Seals and opens the units of one blob under the blob's own key. Thread-safe: each caller borrows a context of its own;
/// a few idle ones are kept with their key schedule, so that sealing a block allocates nothing and expands no key.
public final class BlobCipher: Sendable {
    public let suite: CipherSuite
    private let key: SecretBytes
    private let idle = Mutex<[CipherContext]>([])
    private static let idleLimit = 4

    public init(suite: CipherSuite, key: SecretBytes) {
        precondition(key.count == CipherSuite.keySizeBytes)
        self.suite = suite
        self.key = key
    }

    /// Lends a context to `body`, which must not keep it.
    public func withContext<R, E: Error>(_ body: (CipherContext) throws(E) -> R) throws(E) -> R {
        let context = idle.withLock { $0.popLast() } ?? CipherContext(suite: suite, key: key)
        defer { idle.withLock { if $0.count < Self.idleLimit { $0.append(context) } } }
        return try body(context)
    }
}

/// One keyed AEAD state. Used by one thread at a time.
public final class CipherContext: @unchecked Sendable {
    // @unchecked: handed from thread to thread by BlobCipher's lock, never used by two at once.
    private let sealing: OpaquePointer
    private let opening: OpaquePointer

    init(suite: CipherSuite, key: SecretBytes) {
        guard let sealing = EVP_CIPHER_CTX_new(), let opening = EVP_CIPHER_CTX_new() else { fatalError("no memory for a cipher") }
        self.sealing = sealing
        self.opening = opening
        let cipher: OpaquePointer =
            switch suite {
            case .aes256Gcm: EVP_aes_256_gcm()
            case .chaCha20Poly1305: EVP_chacha20_poly1305()
            case .aes256GcmSiv: fatalError("not here yet")
            }
        key.withUnsafeBytes { key in
            let bytes = key.assumingMemoryBound(to: UInt8.self).baseAddress
            let ok = EVP_EncryptInit_ex(sealing, cipher, nil, bytes, nil) == 1 && EVP_DecryptInit_ex(opening, cipher, nil, bytes, nil) == 1
            precondition(ok, "libcrypto knows the cipher and the key's length is right")
        }
    }

    deinit {
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    /// Seals `plaintext` into `output`: ciphertext of the same length, then 16 bytes of tag. `output` may start where
    /// `plaintext` starts.
    public func seal(
        _ plaintext: UnsafeRawBufferPointer, nonce: SealingNonce, authenticating associated: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(output.count >= plaintext.count + CipherSuite.tagSizeBytes)
        let out = output.assumingMemoryBound(to: UInt8.self).baseAddress!
        var written: Int32 = 0
        let ok =
            withNonce(nonce) { EVP_EncryptInit_ex(sealing, nil, nil, nil, $0) } == 1
            && EVP_EncryptUpdate(
                sealing, nil, &written, associated.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(associated.count)) == 1
            && EVP_EncryptUpdate(sealing, out, &written, plaintext.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(plaintext.count))
                == 1
            && EVP_EncryptFinal_ex(sealing, out + plaintext.count, &written) == 1
            && EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, 16, out + plaintext.count) == 1
        precondition(ok, "sealing has no way to fail but a bug")
    }

    /// Opens ciphertext and tag into `output`, which may start where `sealed` starts. False, with `output` zeroed, when
    /// the tag does not fit.
    public func open(
        _ sealed: UnsafeRawBufferPointer, nonce: SealingNonce, authenticating associated: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let count = sealed.count - CipherSuite.tagSizeBytes
        guard count >= 0, output.count >= count else { return false }
        let input = UnsafeMutablePointer(mutating: sealed.assumingMemoryBound(to: UInt8.self).baseAddress!)
        let out = output.assumingMemoryBound(to: UInt8.self).baseAddress ?? input
        var written: Int32 = 0
        let ok =
            withNonce(nonce) { EVP_DecryptInit_ex(opening, nil, nil, nil, $0) } == 1
            && EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, 16, input + count) == 1
            && EVP_DecryptUpdate(
                opening, nil, &written, associated.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(associated.count)) == 1
            && EVP_DecryptUpdate(opening, out, &written, input, Int32(count)) == 1
            && EVP_DecryptFinal_ex(opening, out + count, &written) == 1
        if !ok, count > 0 { memset(out, 0, count) }
        return ok
    }

    private func withNonce(_ nonce: SealingNonce, _ body: (UnsafePointer<UInt8>) -> Int32) -> Int32 {
        var bytes = (nonce.frame.littleEndian, nonce.block.littleEndian)
        return withUnsafeBytes(of: &bytes) { body($0.assumingMemoryBound(to: UInt8.self).baseAddress!) }
    }
}
