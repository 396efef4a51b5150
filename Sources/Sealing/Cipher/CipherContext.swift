// BoringSSL, the library under swift-crypto's API. It is called directly, since that API expands the key anew for each
// message, copies every message through fresh memory and holds the expanded key outside locked memory. Measured at 4 KiB,
// AES-256-GCM, one core of a shared machine: 0.8 µs here, 2.4 µs with OpenSSL 3.0's EVP interface (whose state cannot be
// shared by threads either); ChaCha20-Poly1305 is as fast in both; AES-256-GCM-SIV OpenSSL 3.0 does not have.
// `EVP_AEAD` is the oldest and most used part of BoringSSL, unchanged for ten years; Package.swift pins the minor version.
import CCryptoBoringSSL
import Glibc

/// One expanded key of an AEAD. Thread-safe: BoringSSL promises that sealing and opening may run at once under one context.
///
/// The state lies in locked memory that no core dump holds and that is wiped when it is freed (`LockedSlots`). It holds all
/// that depends on the key: for these three ciphers BoringSSL puts nothing of it elsewhere on the heap.
public final class CipherContext: @unchecked Sendable {
    // @unchecked: written in `init` alone, before the object is shared, and freed in `deinit`.
    private let state: UnsafeMutablePointer<EVP_AEAD_CTX>
    public let suite: CipherSuite

    init(suite: CipherSuite, key: UnsafeRawBufferPointer) {
        precondition(key.count == CipherSuite.keySizeBytes, "a key has 32 bytes")
        self.suite = suite
        state = LockedSlots.cipherStates.allocate().bindMemory(to: EVP_AEAD_CTX.self, capacity: 1)
        let bytes = key.assumingMemoryBound(to: UInt8.self).baseAddress
        let ok = CCryptoBoringSSL_EVP_AEAD_CTX_init(state, suite.aead, bytes, key.count, CipherSuite.tagSizeBytes, nil)
        precondition(ok == 1, "BoringSSL knows the cipher and the key's length is right")
    }

    deinit {
        CCryptoBoringSSL_EVP_AEAD_CTX_cleanup(state)
        LockedSlots.cipherStates.free(UnsafeMutableRawPointer(state))
    }

    /// Seals `plaintext` into `output`: ciphertext of the same length, then 16 bytes of tag. `output` may start where
    /// `plaintext` starts, and may not overlap it otherwise.
    public func seal(
        _ plaintext: UnsafeRawBufferPointer, nonce: SealingNonce, authenticating associated: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) {
        precondition(output.count >= plaintext.count + CipherSuite.tagSizeBytes, "no room for the tag")
        let out = output.assumingMemoryBound(to: UInt8.self).baseAddress!
        var tagSize = 0
        let ok = Self.withBytes(of: nonce) { nonce in
            CCryptoBoringSSL_EVP_AEAD_CTX_seal_scatter(
                state, out, out + plaintext.count, &tagSize, CipherSuite.tagSizeBytes, nonce, CipherSuite.nonceSizeBytes,
                plaintext.assumingMemoryBound(to: UInt8.self).baseAddress, plaintext.count, nil, 0,
                associated.assumingMemoryBound(to: UInt8.self).baseAddress, associated.count)
        }
        precondition(ok == 1 && tagSize == CipherSuite.tagSizeBytes, "sealing has no way to fail but a bug")
    }

    /// Opens ciphertext and tag into `output`, which may start where `sealed` starts, and may not overlap it otherwise.
    /// False, with the plaintext's place zeroed, when the tag does not fit; false too when `sealed` is shorter than a tag.
    public func open(
        _ sealed: UnsafeRawBufferPointer, nonce: SealingNonce, authenticating associated: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let count = sealed.count - CipherSuite.tagSizeBytes
        guard count >= 0 else { return false }
        precondition(output.count >= count, "no room for the plaintext")
        let input = sealed.assumingMemoryBound(to: UInt8.self).baseAddress!
        let out = output.assumingMemoryBound(to: UInt8.self).baseAddress
        let ok = Self.withBytes(of: nonce) { nonce in
            CCryptoBoringSSL_EVP_AEAD_CTX_open_gather(
                state, out, nonce, CipherSuite.nonceSizeBytes, input, count, input + count, CipherSuite.tagSizeBytes,
                associated.assumingMemoryBound(to: UInt8.self).baseAddress, associated.count)
        }
        if ok == 1 { return true }
        // BoringSSL has zeroed it; that is part of this function's promise, so it does not rest on another library's.
        if let out, count > 0 { memset(out, 0, count) }
        // A refused message also leaves an entry in the thread's list of errors, which nobody reads.
        CCryptoBoringSSL_ERR_clear_error()
        return false
    }

    @inline(__always)
    private static func withBytes(of nonce: SealingNonce, _ body: (UnsafePointer<UInt8>) -> Int32) -> Int32 {
        var bytes = (nonce.frame.littleEndian, nonce.block.littleEndian)
        return withUnsafeBytes(of: &bytes) { body($0.assumingMemoryBound(to: UInt8.self).baseAddress!) }
    }
}

extension CipherSuite {
    fileprivate var aead: OpaquePointer? {
        switch self {
        case .aes256Gcm: CCryptoBoringSSL_EVP_aead_aes_256_gcm()
        case .chaCha20Poly1305: CCryptoBoringSSL_EVP_aead_chacha20_poly1305()
        case .aes256GcmSiv: CCryptoBoringSSL_EVP_aead_aes_256_gcm_siv()
        }
    }
}

extension LockedSlots {
    /// The expanded keys of all open blobs.
    fileprivate static let cipherStates = LockedSlots(slotSizeBytes: MemoryLayout<EVP_AEAD_CTX>.size)
}
