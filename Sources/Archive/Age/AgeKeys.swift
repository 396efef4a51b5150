import CSodium
import Glibc
import Sealing
public import Syscalls
import SystemPackage

/// A public key that an archive can be sealed to: `age1…` (X25519).
public struct AgeRecipient: Sendable {
    static let type = "X25519"
    static let label = Array("age-encryption.org/v1/X25519".utf8)
    static let keySizeBytes = 32
    let publicKey: [UInt8]

    /// Nil if `text` is no such key.
    public init?(_ text: String) {
        var key = [UInt8](repeating: 0, count: Self.keySizeBytes)
        let isKey = Array(text.utf8).withBytes { text in key.withMutableBytes { Bech32.decode(text, prefix: "age", into: $0) } }
        guard isKey else { return nil }
        publicKey = key
    }

    func stanza(_ fileKey: SecretBytes, random: RandomSource) throws(Failure) -> AgeHeader.Stanza {
        let secret = random.secret(count: Self.keySizeBytes)
        let share = X25519.publicKey(of: secret)
        guard let shared = X25519.agree(secret, publicKey) else {
            throw Failure(.usage, "a recipient's key is not valid: everybody could open what is sealed to it")
        }
        let key = KeyDerivation.derive(from: shared, salt: share + publicKey, info: Self.label)
        let text = String(decoding: AgeBase64.encode(share), as: UTF8.self)
        return AgeHeader.Stanza(arguments: [Self.type, text], body: AgeCipher.wrap(fileKey, under: key))
    }
}

/// A secret key, `AGE-SECRET-KEY-1…` (X25519), in guarded memory.
public struct AgeIdentity: Sendable {
    private let secret: SecretBytes
    private let publicKey: [UInt8]

    /// Nil if `text` is no such key.
    public init?(_ text: UnsafeRawBufferPointer) {
        var isKey = false
        secret = SecretBytes(count: AgeRecipient.keySizeBytes) { isKey = Bech32.decode(text, prefix: "age-secret-key-", into: $0) }
        guard isKey else { return nil }
        publicKey = X25519.publicKey(of: secret)
    }

    /// All keys of a file as age-keygen writes it: one in each line, but empty ones and comments.
    public static func read(file path: String) throws(Failure) -> [AgeIdentity] {
        let text = try contents(of: path)
        let keys = try text.withUnsafeBytes { (text) throws(Failure) -> [AgeIdentity] in
            var keys: [AgeIdentity] = []
            let lines = text.split { $0 == 0x0A || $0 == 0x0D }
            for line in lines where line.first != UInt8(ascii: "#") {
                let line = UnsafeRawBufferPointer(rebasing: line)
                guard let key = AgeIdentity(line) else {
                    throw Failure(.usage, "a line of it is no X25519 key of age", object: path, hint: "age-keygen makes one")
                }
                keys.append(key)
            }
            return keys
        }
        guard !keys.isEmpty else { throw Failure(.usage, "it holds no key", object: path, hint: "age-keygen makes one") }
        return keys
    }

    private static func contents(of path: String) throws(Failure) -> SecretBytes {
        let limit = 64 << 10
        var count = 0
        let bytes = try SecretBytes(count: limit + 1) { (buffer) throws(Failure) in
            do throws(Errno) {
                let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY)
                while count < buffer.count {
                    let got = try retryingCount { Glibc.read(file.rawValue, buffer.baseAddress! + count, buffer.count - count) }
                    if got == 0 { break }
                    count += got
                }
            } catch { throw Failure(systemCall: "reading the file of the key", object: path, error) }
        }
        guard count <= limit else { throw Failure(.usage, "it is longer than \(limit >> 10) KiB: that is no file of keys", object: path) }
        return bytes.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    /// The file's key, if one of the stanzas is for this key. Fails with `.damaged` for what no program writes.
    func open(_ header: AgeHeader) throws(Failure) -> SecretBytes? {
        for stanza in header.stanzas where stanza.type == AgeRecipient.type {
            guard stanza.arguments.count == 2, let share = AgeBase64.decode(stanza.arguments[1].utf8),
                share.count == AgeRecipient.keySizeBytes, stanza.body.count == AgeHeader.fileKeySizeBytes + AgeCipher.tagSizeBytes,
                let shared = X25519.agree(secret, share)
            else { throw Failure(.damaged, "the archive's header is damaged: the entry for a key is malformed") }
            let key = KeyDerivation.derive(from: shared, salt: share + publicKey, info: AgeRecipient.label)
            if let fileKey = AgeCipher.unwrap(stanza.body, under: key) { return fileKey }
        }
        return nil
    }
}

/// RFC 7748, as libsodium has it.
private enum X25519 {
    static func publicKey(of secret: SecretBytes) -> [UInt8] {
        var key = [UInt8](repeating: 0, count: AgeRecipient.keySizeBytes)
        secret.withUnsafeBytes { _ = crypto_scalarmult_base(&key, $0.assumingMemoryBound(to: UInt8.self).baseAddress!) }
        return key
    }

    /// Nil if the result is zero, which it is for a few public keys whatever the secret.
    static func agree(_ secret: SecretBytes, _ publicKey: [UInt8]) -> SecretBytes? {
        var result: Int32 = -1
        let shared = SecretBytes(count: AgeRecipient.keySizeBytes) { shared in
            result = secret.withUnsafeBytes {
                crypto_scalarmult(
                    shared.assumingMemoryBound(to: UInt8.self).baseAddress!, $0.assumingMemoryBound(to: UInt8.self).baseAddress!, publicKey)
            }
        }
        return result == 0 ? shared : nil
    }
}
