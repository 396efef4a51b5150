import CSodium
import Glibc
public import Sealing
public import Syscalls

/// Asks for the passphrase of a key file. `what` names the key for the person who is asked. An empty answer is a wrong one.
public typealias PassphraseProvider = (_ what: String) throws(Failure) -> SecretBytes

/// A user's Ed25519 secret key. It lies in guarded memory and leaves it only into libsodium.
public struct UserSecretKey: Sendable {
    /// libsodium's form: the seed and the public key behind it, 64 bytes.
    private let expanded: SecretBytes
    public let publicKey: UserPublicKey

    public static let seedSizeBytes = 32

    /// Nil unless the seed has 32 bytes.
    public init?(seed: SecretBytes) {
        guard seed.count == Self.seedSizeBytes else { return nil }
        precondition(sodium_init() >= 0, "libsodium cannot start")
        var publicBytes = [UInt8](repeating: 0, count: UserPublicKey.sizeBytes)
        expanded = SecretBytes(count: Int(crypto_sign_SECRETKEYBYTES)) { expanded in
            seed.withUnsafeBytes { seed in
                _ = crypto_sign_seed_keypair(&publicBytes, expanded.bytePointer, seed.bytePointer)
            }
        }
        guard let key = UserPublicKey(rawBytes: publicBytes) else { fatalError("a public key of libsodium has 32 bytes") }
        publicKey = key
    }

    /// A new key from the operating system's randomness.
    public static func generate() -> UserSecretKey {
        guard let key = UserSecretKey(seed: .random(count: seedSizeBytes)) else { fatalError("the seed has the right size") }
        return key
    }

    /// The 64 bytes of the signature over `message` (RFC 8032, pure Ed25519).
    public func signature(for message: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
        expanded.withUnsafeBytes {
            _ = crypto_sign_detached(&signature, nil, message, UInt64(message.count), $0.bytePointer)
        }
        return signature
    }

    /// The seed, for writing it to a key file.
    public func copySeed() -> SecretBytes {
        expanded.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<Self.seedSizeBytes])) }
    }

    /// A secret key in any of the forms that `UserKeyForm` lists. `passphrase` is called only for a protected one.
    public init(parsing contents: SecretBytes, named name: String, passphrase: PassphraseProvider) throws(Failure) {
        let seed: SecretBytes
        switch contents.withUnsafeBytes({ UserKeyForm(of: $0) }) {
        case .raw32: seed = contents
        case .hexadecimal, .base64:
            seed = try contents.withUnsafeBytes { (bytes) throws(Failure) in try RawKeyText.decode(bytes, named: name) }
        case .openPGP:
            let keyring = try contents.withUnsafeBytes { (bytes) throws(Failure) in try OpenPGPKeyring(bytes, named: name) }
            seed = try keyring.secretSeed(passphrase: passphrase)
        case .openSSHPrivate:
            seed = try OpenSSHKeyFile.secretSeed(contents, named: name, passphrase: passphrase)
        case .openSSHPublic:
            throw Failure(
                .usage, "this is a public key, and the private one is wanted", object: name, hint: "give the file without .pub")
        case .unknown: throw UserKeyForm.unknownFailure(name)
        }
        guard let key = UserSecretKey(seed: seed) else { throw UserKeyForm.unknownFailure(name) }
        self = key
    }

    /// Reads a file in any of the forms that `UserKeyForm` lists.
    public init(file path: String, passphrase: PassphraseProvider) throws(Failure) {
        try self.init(parsing: try KeyFile.read(path), named: path, passphrase: passphrase)
    }
}

extension UnsafeRawBufferPointer {
    /// The address for C functions that take bytes. Only for buffers of `SecretBytes` and others that are never nil.
    var bytePointer: UnsafePointer<UInt8> { baseAddress!.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    /// As for `UnsafeRawBufferPointer`.
    var bytePointer: UnsafeMutablePointer<UInt8> { baseAddress!.assumingMemoryBound(to: UInt8.self) }
}
