import Crypto
import FoundationEssentials
import JWTKit
import Sealing
import Syscalls

/// The keys that sign session tokens: the newest signs, the one before it still verifies. Ed25519.
struct TokenKeys: Sendable {
    private static let entrySizeBytes = 8 + 32
    private let collection: JWTKeyCollection
    private let identifiers: [String]

    /// Header fields that are looked at before anything is verified.
    private struct Header: Decodable {
        var alg: String
        var kid: String?
        var crit: [String]?
    }

    /// Entries of 8 bytes identifier and 32 bytes seed, the newest first.
    init(_ secret: SecretBytes) async throws {
        let count = secret.count / Self.entrySizeBytes
        guard count > 0, secret.count % Self.entrySizeBytes == 0 else { throw Failure(.damaged, "the token keys cannot be read") }
        let collection = JWTKeyCollection()
        var identifiers: [String] = []
        for index in 0..<count {
            let (identifier, key) = try secret.withUnsafeBytes { bytes in
                let entry = UnsafeRawBufferPointer(rebasing: bytes[index * Self.entrySizeBytes..<(index + 1) * Self.entrySizeBytes])
                return (
                    Hexadecimal.encode(Array(entry[..<8])),
                    try Curve25519.Signing.PrivateKey(rawRepresentation: UnsafeRawBufferPointer(rebasing: entry[8...]))
                )
            }
            await collection.add(eddsa: EdDSA.PrivateKey(backing: key), kid: JWKIdentifier(string: identifier))
            identifiers.append(identifier)
        }
        self.collection = collection
        self.identifiers = identifiers
    }

    /// A new key before the newest of `old`.
    static func make(before old: SecretBytes? = nil) -> SecretBytes {
        let kept = old == nil ? 0 : entrySizeBytes
        return SecretBytes(count: entrySizeBytes + kept) { bytes in
            RandomSource.system.fill(UnsafeMutableRawBufferPointer(rebasing: bytes[..<entrySizeBytes]))
            old?.withUnsafeBytes { old in
                UnsafeMutableRawBufferPointer(rebasing: bytes[entrySizeBytes...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: old[..<kept]))
            }
        }
    }

    func sign(_ claims: SessionClaims) async throws -> String {
        try await collection.sign(claims, kid: JWKIdentifier(string: identifiers[0]))
    }

    /// The claims, if one of the keys signed them as EdDSA. Says nothing of whether they hold.
    func verify(_ token: String) async -> SessionClaims? {
        guard token.utf8.count <= 4096, let end = token.firstIndex(of: "."), let bytes = Base64URL.decode(String(token[..<end])),
            let header = try? JSONDecoder().decode(Header.self, from: Data(bytes)), header.alg == "EdDSA", header.crit == nil,
            let kid = header.kid, identifiers.contains(kid)
        else { return nil }
        return try? await collection.verify(token, as: SessionClaims.self)
    }
}
