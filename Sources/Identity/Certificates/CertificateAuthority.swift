import Crypto
import FoundationEssentials
import Glibc
public import Sealing
import SwiftASN1
public import Syscalls
public import X509

/// A server's own certificate authority: it issues the certificates of the server's TLS face and of its users. ECDSA over P-256
/// with SHA-256 (FIPS 186-5), X.509 version 3 (RFC 5280).
public struct CertificateAuthority: Sendable {
    public let certificate: Certificate
    private let key: Certificate.PrivateKey

    private static let authorityYears = 20.0
    /// What browsers accept at most.
    public static let serverDays = 397.0
    public static let clientDays = 825.0
    /// Clocks of clients may be this much behind.
    private static let clockToleranceSeconds = 300.0
    private static let organization = "efs-server"

    /// Opens the CA from its certificate and its key (PKCS #8, PEM).
    public init(certificatePEM: String, key: SecretBytes) throws(Failure) {
        do {
            certificate = try Certificate(pemEncoded: certificatePEM)
            self.key = try key.withUnsafeBytes { try Certificate.PrivateKey(pemEncoded: String(decoding: $0, as: UTF8.self)) }
        } catch { throw Failure(.damaged, "the CA cannot be read: \(error)") }
        guard certificate.publicKey == self.key.publicKey else { throw Failure(.damaged, "the CA's key belongs to another certificate") }
    }

    /// A new CA: its certificate and its key, PEM.
    public static func make(name: String) throws(Failure) -> (certificatePEM: String, key: SecretBytes) {
        do {
            let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
            let subject = try DistinguishedName {
                OrganizationName(organization)
                CommonName(name)
            }
            let now = Date()
            let certificate = try Certificate(
                version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: now - clockToleranceSeconds,
                notValidAfter: now + authorityYears * 365.25 * 86400, issuer: subject, subject: subject,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: key.publicKey)
                }, issuerPrivateKey: key)
            return (try certificate.serializeAsPEM().pemString, try IssuedCertificate.secretPEM(key))
        } catch { throw Failure(.inputOutput, "the CA cannot be made: \(error)") }
    }

    /// For the TLS face, valid for these DNS names and addresses. `key` (PKCS #8, PEM) is one that is in use and stays so; a new one otherwise.
    public func issueServer(
        names: [String], days: Double = serverDays, key: SecretBytes? = nil
    ) throws(Failure) -> IssuedCertificate {
        do {
            return try issue(
                commonName: names.first ?? "efs-server", days: days, usage: .serverAuth,
                names: names.map { Self.address($0).map { .ipAddress($0) } ?? .dnsName($0) }, key: try key.map(Self.privateKey))
        } catch { throw Failure(.inputOutput, "the server's certificate cannot be issued: \(error)") }
    }

    /// For a user, with a new key. A negative number of days makes one that has ended, for tests.
    public func issueClient(user: String, days: Double = clientDays) throws(Failure) -> IssuedCertificate {
        do { return try issue(commonName: user, days: days, usage: .clientAuth, names: [], key: nil) } catch {
            throw Failure(.inputOutput, "the client certificate cannot be issued: \(error)", object: user)
        }
    }

    /// For a user whose key never left the user: `request` is a PKCS #10 request (PEM), whose own signature is checked. Nothing
    /// else of it is believed.
    public func issueClient(user: String, request: String, days: Double = clientDays) throws(Failure) -> IssuedCertificate {
        do {
            let parsed = try CertificateSigningRequest(pemEncoded: request)
            guard parsed.publicKey.isValidSignature(parsed.signature, for: parsed) else {
                throw Failure(.usage, "the request is not signed by its own key", object: user)
            }
            return try sign(publicKey: parsed.publicKey, commonName: user, days: days, usage: .clientAuth, names: [], key: nil)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.usage, "this is no certificate request: \(error)", object: user)
        }
    }

    /// The same subject, names, use and key as `old`, which this CA must have issued, valid from now on. The private key is
    /// its owner's and not in the result.
    public func renew(_ old: Certificate, days: Double) throws(Failure) -> IssuedCertificate {
        guard certificate.publicKey.isValidSignature(old.signature, for: old), old.issuer == certificate.subject else {
            throw Failure(.usage, "this certificate was issued by another CA", object: String(describing: old.subject))
        }
        do { return try sign(publicKey: old.publicKey, subject: old.subject, days: days, extensions: old.extensions, key: nil) } catch {
            throw Failure(.inputOutput, "the certificate cannot be renewed: \(error)")
        }
    }

    // MARK: Issuing

    private static func privateKey(_ pem: SecretBytes) throws -> Certificate.PrivateKey {
        try pem.withUnsafeBytes { try Certificate.PrivateKey(pemEncoded: String(decoding: $0, as: UTF8.self)) }
    }

    private func issue(
        commonName: String, days: Double, usage: ExtendedKeyUsage.Usage, names: [GeneralName], key: Certificate.PrivateKey?
    ) throws -> IssuedCertificate {
        let key = key ?? Certificate.PrivateKey(P256.Signing.PrivateKey())
        return try sign(publicKey: key.publicKey, commonName: commonName, days: days, usage: usage, names: names, key: key)
    }

    private func sign(
        publicKey: Certificate.PublicKey, commonName: String, days: Double, usage: ExtendedKeyUsage.Usage, names: [GeneralName],
        key: Certificate.PrivateKey?
    ) throws -> IssuedCertificate {
        let subject = try DistinguishedName {
            OrganizationName(Self.organization)
            CommonName(commonName)
        }
        let extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            try ExtendedKeyUsage([usage])
            SubjectKeyIdentifier(hash: publicKey)
            AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier)
            if !names.isEmpty { SubjectAlternativeNames(names) }
        }
        return try sign(publicKey: publicKey, subject: subject, days: days, extensions: extensions, key: key)
    }

    private func sign(
        publicKey: Certificate.PublicKey, subject: DistinguishedName, days: Double, extensions: Certificate.Extensions,
        key: Certificate.PrivateKey?
    ) throws -> IssuedCertificate {
        let now = Date()
        let notAfter = min(now + days * 86400, certificate.notValidAfter)
        let issued = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: publicKey,
            notValidBefore: min(now, notAfter) - Self.clockToleranceSeconds, notValidAfter: notAfter,
            issuer: certificate.subject, subject: subject, extensions: extensions, issuerPrivateKey: self.key)
        return try IssuedCertificate(issued, key: key)
    }

    /// The bytes of an IPv4 or IPv6 address; nil for anything else.
    private static func address(_ text: String) -> ASN1OctetString? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 { return withUnsafeBytes(of: v4) { ASN1OctetString(contentBytes: Array($0)[...]) } }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, text, &v6) == 1 { return withUnsafeBytes(of: v6) { ASN1OctetString(contentBytes: Array($0)[...]) } }
        return nil
    }
}
