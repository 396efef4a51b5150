public import FoundationEssentials
public import Sealing
import SwiftASN1
import Syscalls
import X509

/// A certificate and, if it was made here, its private key.
public struct IssuedCertificate: Sendable {
    public let certificatePEM: String
    public let certificateDER: [UInt8]
    /// PKCS #8, PEM; nil if the key is somebody else's.
    public let keyPEM: SecretBytes?
    /// SHA-256 of the certificate's DER.
    public let fingerprint: Digest32
    public let notAfter: Date

    init(_ certificate: Certificate, key: Certificate.PrivateKey?) throws {
        let document = try certificate.serializeAsPEM()
        certificatePEM = document.pemString + "\n"
        certificateDER = document.derBytes
        keyPEM = try key.map(Self.secretPEM)
        fingerprint = DigestHasher.digest(of: document.derBytes)
        notAfter = certificate.notValidAfter
    }

    static func secretPEM(_ key: Certificate.PrivateKey) throws -> SecretBytes {
        var pem = Array((try key.serializeAsPEM().pemString + "\n").utf8)
        defer { pem.withMutableBytes { wipe($0) } }
        return pem.withBytes { SecretBytes(copying: $0) }
    }
}
