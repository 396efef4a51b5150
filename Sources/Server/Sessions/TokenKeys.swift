import Crypto
import FoundationEssentials
import JWTKit
import Sealing
import Syscalls

/// The keys of session tokens: one signs, and those before it verify until the last token that they signed has ended. Ed25519. Only the one
/// that signs is kept on disk: tokens belong to an instance, and those before it to this one.
struct TokenKeys: Sendable {
    private static let entrySizeBytes = 8 + 32
    /// More than anybody rotates in the life of a token.
    private static let retiredLimit = 32

    private struct Retired: Sendable {
        var identifier: String
        var key: Curve25519.Signing.PublicKey
        /// Seconds since 1970.
        var until: Int64
    }

    private let collection: JWTKeyCollection
    private let identifier: String
    private let publicKey: Curve25519.Signing.PublicKey
    private let retired: [Retired]

    /// Header fields that are looked at before anything is verified.
    private struct Header: Decodable {
        var alg: String
        var kid: String?
        var crit: [String]?
    }

    /// Entries of 8 bytes identifier and 32 bytes seed, the newest first.
    init(_ secret: SecretBytes) async throws { try await self.init(secret, retired: []) }

    /// A new key; `old` verifies what it and those before it have signed until then.
    init(_ secret: SecretBytes, after old: TokenKeys, now: Int64) async throws {
        let last = Retired(identifier: old.identifier, key: old.publicKey, until: now + SessionTable.lifetimeSeconds)
        try await self.init(secret, retired: (old.retired.filter { $0.until > now } + [last]).suffix(Self.retiredLimit))
    }

    private init(_ secret: SecretBytes, retired: [Retired]) async throws {
        guard secret.count > 0, secret.count % Self.entrySizeBytes == 0 else { throw Failure(.damaged, "the token keys cannot be read") }
        let (identifier, key) = try secret.withUnsafeBytes { bytes in
            (
                Hexadecimal.encode(Array(bytes[..<8])),
                try Curve25519.Signing.PrivateKey(rawRepresentation: UnsafeRawBufferPointer(rebasing: bytes[8..<Self.entrySizeBytes]))
            )
        }
        let collection = JWTKeyCollection()
        await collection.add(eddsa: EdDSA.PrivateKey(backing: key), kid: JWKIdentifier(string: identifier))
        for old in retired { await collection.add(eddsa: EdDSA.PublicKey(backing: old.key), kid: JWKIdentifier(string: old.identifier)) }
        self.collection = collection
        self.identifier = identifier
        publicKey = key.publicKey
        self.retired = retired
    }

    /// A new key as it is kept.
    static func make() -> SecretBytes { .random(count: entrySizeBytes) }

    func sign(_ claims: SessionClaims) async throws -> String {
        try await collection.sign(claims, kid: JWKIdentifier(string: identifier))
    }

    /// The claims, if one of the keys signed them as EdDSA. Says nothing of whether they hold.
    func verify(_ token: String, now: Int64) async -> SessionClaims? {
        guard token.utf8.count <= 4096, let end = token.firstIndex(of: "."), let bytes = Base64URL.decode(String(token[..<end])),
            let header = try? JSONDecoder().decode(Header.self, from: Data(bytes)), header.alg == "EdDSA", header.crit == nil,
            let kid = header.kid, kid == identifier || retired.contains(where: { $0.identifier == kid && $0.until > now })
        else { return nil }
        return try? await collection.verify(token, as: SessionClaims.self)
    }
}
