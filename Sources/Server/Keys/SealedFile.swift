import Sealing
import Syscalls

/// A short secret sealed under the starter key and bound to its place (docs/SERVER.md, *Keys*).
enum SealedFile {
    private static let magic = Array("EFSK".utf8) + [1, 0, 0, 0]
    private static let saltSizeBytes = 32
    private static let overheadBytes = magic.count + saltSizeBytes + Digest32.sizeBytes + CipherSuite.tagSizeBytes
    /// The salt, and so the key, is new at each sealing: a key seals one message.
    private static let nonce = SealingNonce(frame: 0, block: 0)

    static func seal(_ secret: SecretBytes, under starterKey: SecretBytes, place: String) -> [UInt8] {
        let salt = RandomSource.system.bytes(count: saltSizeBytes)
        let keys = derive(starterKey, salt, place)
        var file = magic + salt + keys.commitment.bytes
        let associated = file + Array(place.utf8)
        let headSize = file.count
        file += [UInt8](repeating: 0, count: secret.count + CipherSuite.tagSizeBytes)
        secret.withUnsafeBytes { secret in
            associated.withBytes { associated in
                file.withMutableBytes { file in
                    keys.cipher.withContext {
                        $0.seal(
                            secret, nonce: nonce, authenticating: associated,
                            into: UnsafeMutableRawBufferPointer(rebasing: file[headSize...]))
                    }
                }
            }
        }
        return file
    }

    /// Fails with `.wrongPassword` if the starter key is another one, `.damaged` if it is this one.
    static func open(_ file: [UInt8], under starterKey: SecretBytes, place: String, object: String) throws(Failure) -> SecretBytes {
        guard file.count >= overheadBytes, file.starts(with: magic) else {
            throw Failure(.damaged, "is no sealed key of this version", object: object, hint: "restore it from a backup")
        }
        let headSize = overheadBytes - CipherSuite.tagSizeBytes
        let salt = Array(file[magic.count..<magic.count + saltSizeBytes])
        let commitment = Array(file[magic.count + saltSizeBytes..<headSize])
        let keys = derive(starterKey, salt, place)
        let fits = commitment.withBytes { stored in keys.commitment.withUnsafeBytes { constantTimeEquals(stored, $0) } }
        guard fits else {
            throw Failure(
                .wrongPassword, "the starter key does not open it", object: object,
                hint: "it was sealed under another key, or belongs to another place")
        }
        let associated = Array(file[..<headSize]) + Array(place.utf8)
        return try SecretBytes(count: file.count - overheadBytes) { (secret) throws(Failure) in
            let isOpen = associated.withBytes { associated in
                file.withBytes { file in
                    keys.cipher.withContext {
                        $0.open(
                            UnsafeRawBufferPointer(rebasing: file[headSize...]), nonce: nonce, authenticating: associated, into: secret)
                    }
                }
            }
            guard isOpen else { throw Failure(.damaged, "was changed", object: object, hint: "restore it from a backup") }
        }
    }

    private static func derive(
        _ starterKey: SecretBytes, _ salt: [UInt8], _ place: String
    ) -> (commitment: Digest32, cipher: BlobCipher) {
        let sealing = KeyDerivation.derive(from: starterKey, salt: salt, info: Array("efs server 1 seal \(place)".utf8))
        let commitment = KeyDerivation.derive(from: starterKey, salt: salt, info: Array("efs server 1 commitment \(place)".utf8))
        guard let digest = commitment.withUnsafeBytes({ Digest32($0) }) else { fatalError("derived keys have 32 bytes") }
        return (digest, BlobCipher(suite: .chaCha20Poly1305, key: sealing))
    }
}
