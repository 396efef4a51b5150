public import Sealing
import SwiftASN1
public import Syscalls
import X509

/// What a client needs for its connection, in one PEM file: its certificate, the certificate's private key, the CA's certificate,
/// and which server it is for (docs/HTTP_API.md, *Client bundle*). OpenSSL and curl skip the block that they do not know.
public struct ClientBundle: Sendable {
    /// Which server a client expects, whatever its name and certificate: the one that holds the key.
    public struct Server: Hashable, Sendable {
        /// 16 bytes.
        public let id: [UInt8]
        /// The instance key, Ed25519.
        public let key: UserPublicKey

        public init(id: [UInt8], key: UserPublicKey) {
            self.id = id
            self.key = key
        }
    }

    public let certificateDER: [UInt8]
    /// PKCS #8 or SEC 1, PEM; nil if the file does not hold it.
    public let keyPEM: SecretBytes?
    /// The CA's certificates, DER; the server's must come from one of them.
    public let authoritiesDER: [[UInt8]]
    public let server: Server?

    public var certificateFingerprint: Digest32 { DigestHasher.digest(of: certificateDER) }

    /// The user that the certificate was issued to: its common name. The server decides by its own record.
    public var userName: String? {
        guard let certificate = try? Certificate(derEncoded: certificateDER) else { return nil }
        for attribute in certificate.subject.lazy.flatMap({ $0 }) where attribute.type == .RDNAttributeType.commonName {
            return String(attribute.value)
        }
        return nil
    }

    private static let certificateType = "CERTIFICATE"
    private static let serverType = "EFS SERVER"
    private static let keyTypes: Set = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]

    /// The file that a client is given.
    public static func encode(_ issued: IssuedCertificate, authorityPEM: String, server: Server) -> SecretBytes {
        let block = PEMDocument(type: serverType, derBytes: server.id + server.key.rawBytes).pemString + "\n"
        let authority = authorityPEM.hasSuffix("\n") ? authorityPEM : authorityPEM + "\n"
        let tail = Array((authority + block).utf8)
        let head = Array(issued.certificatePEM.utf8)
        let keyCount = issued.keyPEM?.count ?? 0
        return SecretBytes(count: head.count + keyCount + tail.count) { target in
            target.copyBytes(from: head)
            issued.keyPEM?.withUnsafeBytes { key in
                UnsafeMutableRawBufferPointer(rebasing: target[head.count...]).copyMemory(from: key)
            }
            UnsafeMutableRawBufferPointer(rebasing: target[(head.count + keyCount)...]).copyBytes(from: tail)
        }
    }

    /// Reads such a file. The first certificate is the client's, further ones are the CA's.
    public init(parsing contents: SecretBytes, named name: String) throws(Failure) {
        let documents: [PEMDocument]
        do {
            documents = try contents.withUnsafeBytes { try PEMDocument.parseMultiple(pemString: String(decoding: $0, as: UTF8.self)) }
        } catch {
            throw Failure(.usage, "this is no PEM file", object: name, hint: "give the bundle that 'efsctl create-user' made")
        }
        let certificates = documents.filter { $0.discriminator == Self.certificateType }.map(\.derBytes)
        guard let own = certificates.first else {
            throw Failure(
                .usage, "there is no certificate in this file", object: name, hint: "give the bundle that 'efsctl create-user' made")
        }
        certificateDER = own
        authoritiesDER = Array(certificates.dropFirst())
        keyPEM = documents.first { Self.keyTypes.contains($0.discriminator) }.map { document in
            Array((document.pemString + "\n").utf8).withBytes { SecretBytes(copying: $0) }
        }
        if let block = documents.first(where: { $0.discriminator == Self.serverType })?.derBytes {
            guard block.count == Transcript.serverIDSizeBytes + UserPublicKey.sizeBytes,
                let key = UserPublicKey(rawBytes: Array(block[Transcript.serverIDSizeBytes...]))
            else { throw Failure(.damaged, "the block that names the server is damaged", object: name) }
            server = Server(id: Array(block[..<Transcript.serverIDSizeBytes]), key: key)
        } else {
            server = nil
        }
    }

    public init(file path: String) throws(Failure) { try self.init(parsing: try KeyFile.read(path), named: path) }
}
