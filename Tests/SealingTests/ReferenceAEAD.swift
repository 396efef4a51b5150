import CSodium
import Crypto
import CryptoExtras
import Sealing

/// The AEADs once more, from other hands, to check ours against: libsodium's AES-256-GCM and ChaCha20-Poly1305, and
/// AES-256-GCM-SIV spelled out from RFC 8452, bit by bit.
enum ReferenceAEAD {
    /// Nil if this machine cannot run the reference (libsodium's AES needs instructions of the processor).
    static func seal(_ suite: CipherSuite, _ text: [UInt8], key: [UInt8], nonce: [UInt8], associated: [UInt8]) throws -> [UInt8]? {
        guard sodium_init() >= 0 else { return nil }
        var sealed = [UInt8](repeating: 0, count: text.count + 16)
        var size: UInt64 = 0
        switch suite {
        case .aes256Gcm:
            guard crypto_aead_aes256gcm_is_available() == 1 else { return nil }
            crypto_aead_aes256gcm_encrypt(
                &sealed, &size, text, UInt64(text.count), associated, UInt64(associated.count), nil, nonce, key)
        case .chaCha20Poly1305:
            crypto_aead_chacha20poly1305_ietf_encrypt(
                &sealed, &size, text, UInt64(text.count), associated, UInt64(associated.count), nil, nonce, key)
        case .aes256GcmSiv: return try sealSIV(text, key: key, nonce: nonce, associated: associated)
        }
        return sealed
    }

    private static func sealSIV(_ text: [UInt8], key: [UInt8], nonce: [UInt8], associated: [UInt8]) throws -> [UInt8] {
        var derived: [UInt8] = []
        for index in UInt32(0)..<6 { derived += try encrypt(littleEndian(index) + nonce, key: key)[..<8] }
        let encryptionKey = Array(derived[16...])
        let lengths = littleEndian(UInt64(associated.count) * 8) + littleEndian(UInt64(text.count) * 8)
        var tag = polyval(key: Array(derived[..<16]), padded(associated) + padded(text) + lengths)
        for index in 0..<12 { tag[index] ^= nonce[index] }
        tag[15] &= 0x7f
        tag = try encrypt(tag, key: encryptionKey)
        var counter = tag
        counter[15] |= 0x80
        var number = UInt32(counter[0]) | UInt32(counter[1]) << 8 | UInt32(counter[2]) << 16 | UInt32(counter[3]) << 24
        var sealed = text
        for start in stride(from: 0, to: text.count, by: 16) {
            let stream = try encrypt(littleEndian(number) + counter[4...], key: encryptionKey)
            for index in start..<min(start + 16, text.count) { sealed[index] ^= stream[index - start] }
            number &+= 1
        }
        return sealed + tag
    }

    private static func encrypt(_ block: [UInt8], key: [UInt8]) throws -> [UInt8] {
        var block = block
        try AES.permute(&block, key: SymmetricKey(data: key))
        return block
    }

    /// RFC 8452, section 3: the sum of products over GF(2^128), each multiplied by x^-128.
    private static func polyval(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        func number(_ bytes: ArraySlice<UInt8>) -> UInt128 { bytes.reversed().reduce(0) { $0 << 8 | UInt128($1) } }
        let factor = number(key[...])
        var sum: UInt128 = 0
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let block = sum ^ number(bytes[start..<start + 16])
            sum = 0
            for bit in 0..<128 {
                if block >> UInt128(bit) & 1 == 1 { sum ^= factor }
                let odd = sum & 1 == 1
                sum >>= 1
                if odd { sum ^= UInt128(0b1110_0001) << 120 }
            }
        }
        return littleEndian(sum)
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] { bytes + [UInt8](repeating: 0, count: (16 - bytes.count % 16) % 16) }

    private static func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
}

extension SealingNonce {
    /// From its 12 bytes.
    init(_ bytes: [UInt8]) {
        precondition(bytes.count == 12)
        self = bytes.withUnsafeBytes {
            SealingNonce(
                frame: UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)),
                block: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        }
    }
}

extension BlobCipher {
    convenience init(_ suite: CipherSuite, _ key: [UInt8]) {
        self.init(suite: suite, key: key.withUnsafeBytes { SecretBytes(copying: $0) })
    }

    func seal(_ text: [UInt8], nonce: [UInt8], associated: [UInt8]) -> [UInt8] {
        var sealed = [UInt8](repeating: 0xee, count: text.count + CipherSuite.tagSizeBytes)
        withContext { context in
            text.withUnsafeBytes { text in
                associated.withUnsafeBytes { associated in
                    sealed.withUnsafeMutableBytes { context.seal(text, nonce: SealingNonce(nonce), authenticating: associated, into: $0) }
                }
            }
        }
        return sealed
    }

    func open(_ sealed: [UInt8], nonce: [UInt8], associated: [UInt8]) -> [UInt8]? {
        var text = [UInt8](repeating: 0xee, count: max(0, sealed.count - CipherSuite.tagSizeBytes))
        let ok = withContext { context in
            sealed.withUnsafeBytes { sealed in
                associated.withUnsafeBytes { associated in
                    text.withUnsafeMutableBytes {
                        context.open(sealed, nonce: SealingNonce(nonce), authenticating: associated, into: $0)
                    }
                }
            }
        }
        return ok ? text : nil
    }
}
