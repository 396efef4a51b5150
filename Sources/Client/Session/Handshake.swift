import FoundationEssentials
import Identity
import NIOCore
import NIOHTTP1
import Sealing

/// The two requests of the handshake (docs/HTTP_API.md, *Authentication*), on one connection.
struct Handshake: Sendable {
    let configuration: ClientConfiguration

    private struct NonceRequest: Encodable {
        var user: String
        var keyFingerprint: String
        var clientNonce: String
    }

    private struct NonceAnswer: Decodable {
        var serverID: String
        var instanceKey: String
        var nonce: String
        var expires: Int64
        var proof: String
    }

    private struct SessionRequest: Encodable {
        var user: String
        var keyFingerprint: String
        var nonce: String
        var clientNonce: String
        var signature: String
    }

    struct SessionAnswer: Decodable {
        var basic: String
        var session: String
        var expires: Int64
        var renewalsLeft: Int
        var fileSystem: String

        func tokens(_ number: Int) -> SessionTokens {
            SessionTokens(
                basic: basic, session: session, expires: expires, renewalsLeft: renewalsLeft, fileSystem: fileSystem, number: number)
        }
    }

    func perform(on connection: Connection, number: Int) async throws -> SessionTokens {
        let clientNonce = RandomSource.system.bytes(count: Transcript.nonceSizeBytes)
        let fingerprint = DigestHasher.digest(of: configuration.userKey.publicKey.rawBytes).bytes
        let nonce: NonceAnswer = try await post(
            "/v1/auth/nonce",
            NonceRequest(
                user: configuration.user, keyFingerprint: Base64URL.encode(fingerprint), clientNonce: Base64URL.encode(clientNonce)),
            on: connection)
        let transcript = try checked(nonce, connection, fingerprint: fingerprint, clientNonce: clientNonce)
        let signature = configuration.userKey.signature(for: transcript.encoded(for: .clientSession))
        let answer: SessionAnswer = try await post(
            "/v1/auth/session",
            SessionRequest(
                user: configuration.user, keyFingerprint: Base64URL.encode(fingerprint), nonce: nonce.nonce,
                clientNonce: Base64URL.encode(clientNonce), signature: Base64URL.encode(signature)),
            on: connection)
        return answer.tokens(number)
    }

    /// The transcript, once the server has proved that it holds the instance key that the bundle names. Nothing is signed for
    /// any other.
    private func checked(
        _ answer: NonceAnswer, _ connection: Connection, fingerprint: [UInt8], clientNonce: [UInt8]
    ) throws -> Transcript {
        guard let id = Base64URL.decode(answer.serverID), id.count == Transcript.serverIDSizeBytes,
            let keyBytes = Base64URL.decode(answer.instanceKey), let key = UserPublicKey(rawBytes: keyBytes),
            let nonce = Base64URL.decode(answer.nonce), nonce.count == Transcript.nonceSizeBytes,
            let proof = Base64URL.decode(answer.proof)
        else { throw ClientError.malformed(host: configuration.host, what: "the nonce's fields have other sizes") }
        if let expected = configuration.bundle.server {
            guard expected.id == id, expected.key == key else {
                throw ClientError.untrusted(host: configuration.host, reason: "it has another id or instance key than the bundle names")
            }
        }
        let transcript = Transcript(
            user: configuration.user, keyFingerprint: fingerprint, serverID: id, serverCertificate: connection.serverCertificate,
            clientCertificate: configuration.bundle.certificateFingerprint, serverNonce: nonce, clientNonce: clientNonce,
            expires: answer.expires)
        guard key.isValidSignature(proof, for: transcript.encoded(for: .serverProof)) else {
            throw ClientError.untrusted(host: configuration.host, reason: "it cannot prove that it holds its instance key")
        }
        return transcript
    }

    private func post<A: Decodable & Sendable>(_ uri: String, _ body: some Encodable, on connection: Connection) async throws -> A {
        let request = ClientRequest(
            method: .POST, uri: uri, headers: [("Content-Type", "application/json")],
            body: .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body))))
        let head = request.head(host: configuration.authority, userAgent: configuration.userAgent, tokens: [])
        let host = configuration.host
        let exchanged = try await connection.exchange(head, request) { _, body in try await JSONAnswer.read(A.self, body, host: host) }
        let answer = try exchanged.result.get()
        guard exchanged.keepsConnection else {
            // The nonce is bound to the connection.
            throw ClientError.interrupted(host: host, cause: "the server closed it within the handshake")
        }
        return answer
    }
}

extension ClientConfiguration {
    /// The host as a request names it.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == Self.defaultPort ? name : "\(name):\(port)"
    }
}

enum JSONAnswer {
    static func read<A: Decodable>(_ type: A.Type, _ body: BodyReader, host: String) async throws -> A {
        guard let bytes = try await body.collect(upTo: Connection.largestJSONBytes) else {
            throw ClientError.malformed(host: host, what: "an answer of more than 8 MiB")
        }
        do { return try JSONDecoder().decode(type, from: Data(bytes.readableBytesView)) } catch {
            throw ClientError.malformed(host: host, what: "\(type) cannot be read from it")
        }
    }
}

/// base64url without padding (RFC 4648, section 5).
enum Base64URL {
    static func encode(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    static func decode(_ text: String) -> [UInt8]? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)).map { Array($0) }
    }
}
