import CSodium
import Sealing
import Syscalls

/// age's `scrypt` recipient: the file's key sealed under a password (RFC 7914, r 8, p 1).
enum AgePassword {
    static let type = "scrypt"
    private static let label = Array("age-encryption.org/v1/scrypt".utf8)
    private static let saltSizeBytes = 16
    /// An archive may ask for 1 GiB and four times the time; what asks for more is refused before anything is allocated.
    static let largestWorkFactor = 20

    static func stanza(
        _ fileKey: SecretBytes, password: SecretBytes, workFactor: Int, random: RandomSource
    ) throws(Failure) -> AgeHeader.Stanza {
        let salt = random.bytes(count: saltSizeBytes)
        let key = try key(of: password, salt: salt, workFactor: workFactor)
        let text = String(decoding: AgeBase64.encode(salt), as: UTF8.self)
        return AgeHeader.Stanza(arguments: [type, text, String(workFactor)], body: AgeCipher.wrap(fileKey, under: key))
    }

    /// The file's key. Fails with `.wrongPassword`, and `.damaged` for what no program writes.
    static func open(_ header: AgeHeader, password: SecretBytes) throws(Failure) -> SecretBytes {
        guard let stanza = header.stanzas.first(where: { $0.type == type }) else {
            throw Failure(
                .wrongPassword, "the archive is sealed to keys, not with a password", hint: "name the file of your key with --identity")
        }
        // With others beside it, who knows one of those keys could pass an archive off as made by someone who knows the password.
        guard header.stanzas.count == 1, stanza.arguments.count == 3, let salt = AgeBase64.decode(stanza.arguments[1].utf8),
            salt.count == saltSizeBytes, stanza.body.count == AgeHeader.fileKeySizeBytes + AgeCipher.tagSizeBytes
        else { throw Failure(.damaged, "the archive's header is damaged: its password entry is malformed") }
        let workFactor = try workFactor(stanza.arguments[2])
        let key = try key(of: password, salt: salt, workFactor: workFactor)
        guard let fileKey = AgeCipher.unwrap(stanza.body, under: key) else {
            throw Failure(
                .wrongPassword, "the archive does not open with this password",
                hint: "if the password is right, then the archive's header is damaged")
        }
        return fileKey
    }

    private static func workFactor(_ text: String) throws(Failure) -> Int {
        let digits = Array(text.utf8)
        guard let first = digits.first, first != UInt8(ascii: "0"), digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            throw Failure(.damaged, "the archive's header is damaged: its work factor is no number")
        }
        guard digits.count <= 2, let factor = Int(text), factor <= largestWorkFactor else {
            throw Failure(
                .damaged,
                "the archive asks for 2^\(text.prefix(20)) steps of work to try a password, more than the 2^\(largestWorkFactor) "
                    + "that this program does",
                hint: "if you trust where it comes from, decrypt it with age")
        }
        return factor
    }

    private static func key(of password: SecretBytes, salt: [UInt8], workFactor: Int) throws(Failure) -> SecretBytes {
        guard password.count > 0 else { throw Failure(.usage, "the archive's password is empty") }
        let salt = label + salt
        return try SecretBytes(count: AgeCipher.keySizeBytes) { (output) throws(Failure) in
            let result = password.withUnsafeBytes {
                crypto_pwhash_scryptsalsa208sha256_ll(
                    $0.assumingMemoryBound(to: UInt8.self).baseAddress!, $0.count, salt, salt.count, 1 << UInt64(workFactor), 8, 1,
                    output.assumingMemoryBound(to: UInt8.self).baseAddress!, output.count)
            }
            guard result == 0 else {
                throw Failure(
                    .notPermitted,
                    "not enough memory to derive the key from the password: \(max(1, (1 << workFactor) >> 10)) MiB are needed",
                    hint: "close other programs, or raise the memory limit of this one")
            }
        }
    }
}
