import Identity
import Sealing
import Syscalls

/// What is kept of a user on disk.
package struct UserRecord: Codable, Sendable {
    package struct ClientCertificate: Codable, Sendable {
        /// SHA-256 of the DER, hexadecimal.
        package var fingerprint: String
        /// Seconds since 1970.
        package var notAfter: Int64
        package var isRevoked: Bool
    }

    package var name: String
    package var fileSystem: String
    /// The Ed25519 public key, base64url.
    package var publicKey: String
    package var certificates: [ClientCertificate]
    package var grants: [Grant]
    package var quotaBytes: UInt64?
    /// Files that the user writes have the group `UsageLedger.firstGroup` and this; no other user of the file system has it. Nil in records of
    /// older versions, until they are read.
    package var number: UInt32?
    package var requestsPerSecond: Int?
    /// Seconds since 1970.
    package var created: Int64
    package var isRevoked: Bool

    static let largestNumber: UInt32 = 1 << 24
}

/// A user as requests meet it: immutable, replaced as a whole.
final class User: Sendable {
    let record: UserRecord
    let publicKey: UserPublicKey
    /// SHA-256 of the public key.
    let keyFingerprint: Digest32
    let grants: GrantTable
    private let certificates: Set<Digest32>

    var name: String { record.name }
    /// Of the files that the user writes.
    let group: UInt32

    init(_ record: UserRecord) throws(Failure) {
        self.record = record
        guard let number = record.number, number <= UserRecord.largestNumber else {
            throw Failure(.damaged, "the user has no number", object: record.name)
        }
        group = UsageLedger.firstGroup + number
        guard let key = Base64URL.decode(record.publicKey).flatMap({ UserPublicKey(rawBytes: $0) }) else {
            throw Failure(.damaged, "the user's key cannot be read", object: record.name)
        }
        publicKey = key
        keyFingerprint = DigestHasher.digest(of: key.rawBytes)
        grants = try GrantTable(record.grants)
        certificates = Set(
            record.certificates.filter { !$0.isRevoked }.compactMap { Hexadecimal.decode($0.fingerprint).flatMap { Digest32($0) } })
    }

    /// Whether the certificate is this user's now.
    func accepts(certificate: Digest32) -> Bool { !record.isRevoked && certificates.contains(certificate) }
}
