public import Sealing

/// What both sides of the handshake sign (docs/HTTP_API.md, *The transcript*). It names everything that a signature is good
/// for, so that nobody who relays one can use it elsewhere.
public struct Transcript: Hashable, Sendable {
    public enum Purpose: String, Sendable, CaseIterable {
        /// The server's instance key proves which server this is.
        case serverProof = "server-proof"
        /// The user's key asks for a session.
        case clientSession = "client-session"
    }

    public static let protocolLabel = "efs-auth-v1"
    public static let nonceSizeBytes = 32
    public static let serverIDSizeBytes = 16

    public var user: String
    /// SHA-256 of the user's public key, 32 bytes.
    public var keyFingerprint: [UInt8]
    /// 16 bytes.
    public var serverID: [UInt8]
    /// SHA-256 of the DER of the leaf that the server showed on this connection.
    public var serverCertificate: Digest32
    /// SHA-256 of the DER of the leaf that the client showed.
    public var clientCertificate: Digest32
    /// 32 bytes.
    public var serverNonce: [UInt8]
    /// 32 bytes.
    public var clientNonce: [UInt8]
    /// Seconds since 1970.
    public var expires: Int64

    public init(
        user: String, keyFingerprint: [UInt8], serverID: [UInt8], serverCertificate: Digest32, clientCertificate: Digest32,
        serverNonce: [UInt8], clientNonce: [UInt8], expires: Int64
    ) {
        self.user = user
        self.keyFingerprint = keyFingerprint
        self.serverID = serverID
        self.serverCertificate = serverCertificate
        self.clientCertificate = clientCertificate
        self.serverNonce = serverNonce
        self.clientNonce = clientNonce
        self.expires = expires
    }

    /// The bytes to sign: ten fields, each as its length (4 bytes, big-endian) and its bytes.
    public func encoded(for purpose: Purpose) -> [UInt8] {
        let fields: [[UInt8]] = [
            Array(Self.protocolLabel.utf8), Array(purpose.rawValue.utf8), Array(user.utf8), keyFingerprint, serverID,
            serverCertificate.bytes, clientCertificate.bytes, serverNonce, clientNonce,
            withUnsafeBytes(of: expires.bigEndian) { Array($0) },
        ]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(320)
        for field in fields {
            withUnsafeBytes(of: UInt32(field.count).bigEndian) { bytes += $0 }
            bytes += field
        }
        return bytes
    }
}
