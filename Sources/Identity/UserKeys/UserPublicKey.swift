import CSodium
import Crypto
import Glibc
import Sealing
public import Syscalls

/// The Ed25519 public key that a user is known by (RFC 8032). Whatever form it came in, it is these 32 bytes.
public struct UserPublicKey: Hashable, Sendable {
    private let digest: Digest32

    public static let sizeBytes = 32

    /// Nil unless there are 32 bytes.
    public init?(rawBytes: [UInt8]) {
        guard let digest = Digest32(rawBytes) else { return nil }
        self.digest = digest
    }

    public var rawBytes: [UInt8] { digest.bytes }

    /// Whether `signature` (64 bytes) is this key's over `message`. False also for a key or a signature that RFC 8032 does not
    /// allow: points of small order, encodings that are not canonical.
    public func isValidSignature(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == Int(crypto_sign_BYTES) else { return false }
        precondition(sodium_init() >= 0, "libsodium cannot start")
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), rawBytes) == 0
    }

    public var fingerprints: KeyFingerprints { KeyFingerprints(of: rawBytes) }

    /// The key as a line of OpenSSH's `id_ed25519.pub`.
    public func openSSHLine(comment: String) -> String { OpenSSHKeyFile.publicLine(rawBytes, comment: comment) }

    /// The 32 bytes in base64.
    public var base64: String { Base64.encode(rawBytes) }

    /// A public key in any of the forms that `UserKeyForm` lists. `name` is what messages call it.
    public init(parsing contents: [UInt8], named name: String) throws(Failure) {
        let raw: [UInt8]
        switch UserKeyForm(of: contents) {
        case .raw32: raw = contents
        case .hexadecimal, .base64:
            raw = try contents.withBytes { (bytes) throws(Failure) in
                try RawKeyText.decode(bytes, named: name).withUnsafeBytes { Array($0) }
            }
        case .openPGP:
            raw = try OpenPGPKeyring(contents, named: name).publicKey()
        case .openSSHPublic:
            raw = try OpenSSHKeyFile.publicKey(inLine: contents, named: name)
        case .openSSHPrivate:
            throw Failure(
                .usage, "this is a private key of OpenSSH, and a public one is wanted", object: name, hint: "give its .pub file")
        case .unknown: throw UserKeyForm.unknownFailure(name)
        }
        guard let key = UserPublicKey(rawBytes: raw) else { throw UserKeyForm.unknownFailure(name) }
        self = key
    }

    /// Reads a file in any of the forms that `UserKeyForm` lists.
    public init(file path: String) throws(Failure) {
        let contents = try KeyFile.read(path).withUnsafeBytes { Array($0) }
        try self.init(parsing: contents, named: path)
    }
}

/// Digests of a public key's 32 bytes in lower-case hexadecimal, for people to compare. SHA-1 and MD5 are there because other
/// tools show them; nothing rests on them.
public struct KeyFingerprints: Hashable, Sendable {
    public let sha256: String
    public let sha1: String
    public let md5: String

    init(of bytes: [UInt8]) {
        sha256 = Hexadecimal.encode(SHA256.hash(data: bytes))
        sha1 = Hexadecimal.encode(Insecure.SHA1.hash(data: bytes))
        md5 = Hexadecimal.encode(Insecure.MD5.hash(data: bytes))
    }
}
