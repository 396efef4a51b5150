import CSodium
import Sealing
import Syscalls

/// What the AES Crypt stream format, version 2, is made of (https://www.aescrypt.com/aes_stream_format.html):
///
///     "AES" 02 00 | extensions | IV (16) | sealed IV and key (48) | HMAC of those (32) | data | length mod 16 (1) | HMAC of data (32)
///
/// The sealed key is under a key that comes from the password and the first IV. Data is AES-256-CBC, filled up to whole blocks.
/// Neither the extensions nor the length byte are authenticated by the format. So none of the former is written, and what is in
/// them when reading is skipped; and a reader of what is inside must check where its end is (`TarReader`, `GzipSource`, `ZstdSource`).
enum AESCryptFormat {
    static let magic: [UInt8] = [0x41, 0x45, 0x53]
    static let version: UInt8 = 2
    static let blockSizeBytes = 16
    static let sealedKeySizeBytes = 48
    static let codeSizeBytes = 32
    /// The length byte and the code.
    static let trailerSizeBytes = 1 + codeSizeBytes
    /// All extensions together, as a reader takes them: nothing of them is believed, but they must be read through.
    static let extensionLimitBytes = 1 << 20
    static let passwordLimitUnits = 1024
    private static let passwordRounds = 8192

    /// The key that seals the file's key: SHA-256 over the key before and the password in UTF-16LE, 8192 times, from the IV on.
    /// That is what the format has instead of a KDF: quick to try, so the password must be a long one.
    static func key(of password: SecretBytes, iv: [UInt8]) throws(Failure) -> SecretBytes {
        let unitCount = try password.withUnsafeBytes { (bytes) throws(Failure) in try forEachUnit(of: bytes) { _ in } }
        guard unitCount > 0 else { throw Failure(.usage, "the archive's password is empty") }
        guard unitCount <= passwordLimitUnits else {
            throw Failure(.usage, "the archive's password is longer than the \(passwordLimitUnits) characters that this format takes")
        }
        let digestSize = codeSizeBytes
        // Guarded memory throughout: the key so far, then the password. Only the first 32 bytes leave.
        let state = try SecretBytes(count: digestSize + 2 * unitCount) { (state) throws(Failure) in
            state.copyBytes(from: iv)
            var position = digestSize
            try password.withUnsafeBytes { (bytes) throws(Failure) in
                _ = try forEachUnit(of: bytes) { unit in
                    state.storeBytes(of: unit.littleEndian, toByteOffset: position, as: UInt16.self)
                    position += 2
                }
            }
            let bytes = state.assumingMemoryBound(to: UInt8.self).baseAddress!
            // The input ends before the digest is written, so they may be the same memory.
            for _ in 0..<passwordRounds { crypto_hash_sha256(bytes, bytes, UInt64(state.count)) }
        }
        return state.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<digestSize])) }
    }

    /// Calls `body` with each UTF-16 code unit of UTF-8 text; no copy of the text is made.
    /// - Returns: the number of units.
    private static func forEachUnit(of text: UnsafeRawBufferPointer, _ body: (UInt16) -> Void) throws(Failure) -> Int {
        var decoder = UTF8()
        var bytes = text.makeIterator()
        var count = 0
        while true {
            switch decoder.decode(&bytes) {
            case .scalarValue(let scalar):
                for unit in scalar.utf16 {
                    body(unit)
                    count += 1
                }
            case .emptyInput: return count
            case .error:
                throw Failure(
                    .usage, "the archive's password is not valid UTF-8, which this format needs", hint: "use another password, or .age")
            }
        }
    }
}
