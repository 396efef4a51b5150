// BoringSSL, the library under swift-crypto's API, is called directly (as Sealing does): that API expands the key anew for each
// block of data and copies every block twice. `AES_cbc_encrypt` takes the state from the caller, so that it can lie in guarded memory.
import CCryptoBoringSSL
import Sealing

/// AES-256-CBC over whole blocks, one direction of one stream.
struct CBCCipher {
    private let schedule: SecretBytes
    private let isEncrypting: Bool
    private var iv: [UInt8]

    init(key: UnsafeRawBufferPointer, iv: [UInt8], encrypting: Bool) {
        precondition(key.count == 32 && iv.count == AESCryptFormat.blockSizeBytes, "sizes of AES-256")
        isEncrypting = encrypting
        self.iv = iv
        schedule = SecretBytes(count: MemoryLayout<AES_KEY>.size) { memory in
            let schedule = memory.assumingMemoryBound(to: AES_KEY.self).baseAddress!
            let bytes = key.assumingMemoryBound(to: UInt8.self).baseAddress!
            let result =
                encrypting
                ? CCryptoBoringSSL_AES_set_encrypt_key(bytes, 256, schedule) : CCryptoBoringSSL_AES_set_decrypt_key(bytes, 256, schedule)
            precondition(result == 0, "AES takes keys of 256 bits")
        }
    }

    init(key: SecretBytes, iv: [UInt8], encrypting: Bool) {
        self = key.withUnsafeBytes { CBCCipher(key: $0, iv: iv, encrypting: encrypting) }
    }

    /// In place.
    mutating func process(_ blocks: UnsafeMutableRawBufferPointer) {
        precondition(blocks.count % AESCryptFormat.blockSizeBytes == 0, "whole blocks")
        guard let bytes = blocks.assumingMemoryBound(to: UInt8.self).baseAddress else { return }
        schedule.withUnsafeBytes {
            CCryptoBoringSSL_AES_cbc_encrypt(
                bytes, bytes, blocks.count, $0.assumingMemoryBound(to: AES_KEY.self).baseAddress!, &iv,
                isEncrypting ? AES_ENCRYPT : AES_DECRYPT)
        }
    }
}
