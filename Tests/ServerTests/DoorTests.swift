import FoundationEssentials
import Identity
import JWTKit
import NIOHTTP1
import NIOSSL
import Sealing
import Syscalls
import Testing

@testable import Server

/// Every door of the server, closed by itself while the others are open.
@Suite struct DoorTests {
    @Test func theHandshakeOpensASession() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            let put = try await session.request(.PUT, "/v1/data/a/b.txt", body: Array("content".utf8))
            #expect(put.status == 201, "\(put.text)")
            let get = try await session.request(.GET, "/v1/data/a/b.txt")
            #expect(get.status == 200)
            #expect(get.text == "content")
        }
    }

    @Test func theServerProvesItself() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            let proof = try #require(handshake.nonceAnswer["proof"]?.text.flatMap { Base64URL.decode($0) })
            let server = try #require(user.bundle.server)
            #expect(server.id == handshake.transcript.serverID)
            #expect(server.key.isValidSignature(proof, for: handshake.transcript.encoded(for: .serverProof)))
            #expect(!server.key.isValidSignature(proof, for: handshake.transcript.encoded(for: .clientSession)))
        }
    }

    // MARK: First door: the certificate

    @Test func withoutACertificateThereIsNoConnection() async throws {
        try await ServerFixture.with { (fixture) async throws in
            await #expect(throws: (any Error).self) {
                let client = try await fixture.connect(nil)
                // TLS 1.3 tells the client of a refused certificate only after its own handshake is done.
                _ = try await client.request(.GET, "/v1/server")
            }
        }
    }

    @Test func aForeignAuthorityIsRefused() async throws {
        try await ServerFixture.with { (fixture) async throws in
            let other = try CertificateAuthority.make(name: "other")
            let authority = try CertificateAuthority(certificatePEM: other.certificatePEM, key: other.key)
            try await expectRefused(fixture, try authority.issueClient(user: "app1"))
        }
    }

    @Test func anExpiredCertificateIsRefused() async throws {
        try await ServerFixture.with { (fixture) async throws in
            let instance = try fixture.server.requireInstance()
            try await expectRefused(fixture, try instance.authority.issueClient(user: "app1", days: -1))
        }
    }

    @Test func aServerCertificateIsNoClientCertificate() async throws {
        try await ServerFixture.with { (fixture) async throws in
            let instance = try fixture.server.requireInstance()
            try await expectRefused(fixture, try instance.authority.issueServer(names: ["localhost"]))
        }
    }

    private func expectRefused(_ fixture: ServerFixture, _ issued: IssuedCertificate) async throws {
        let bundle = try ClientBundle(
            parsing: ClientBundle.encode(
                issued, authorityPEM: issued.certificatePEM,
                server: ClientBundle.Server(id: [UInt8](repeating: 0, count: 16), key: UserSecretKey.generate().publicKey)), named: "test")
        let authority = try ServerFixture.authority(of: fixture.root)
        let port = fixture.port
        await #expect(throws: (any Error).self) {
            let client = try await TestClient.connect(port: port, authority: authority, bundle: bundle)
            _ = try await client.request(.GET, "/v1/server")
        }
    }

    @Test func aRevokedUserIsOutAtOnce() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            #expect(try await session.request(.GET, "/v1/data/").status == 200)
            try await fixture.server.revokeUser("app1")
            let refused = try await session.request(.GET, "/v1/data/")
            #expect(refused.status == 401 || refused.status == 403)
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    @Test func aRenewedCertificateShutsTheOldOneOut() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            var user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            let renewed = try await fixture.server.renewCertificate(of: "app1")
            #expect(try await session.request(.GET, "/v1/data/").status == 401)
            let old = try await fixture.connect(user)
            var handshake = TestHandshake(user, old)
            _ = try await handshake.begin(old)
            #expect(try await handshake.end(old).code == "handshake-failed")
            user.bundle = try ClientBundle(file: renewed.bundle)
            #expect(try await fixture.open(user).request(.GET, "/v1/data/").status == 200)
        }
    }

    @Test func tokensAreWorthNothingWithAnotherCertificate() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let session = try await fixture.open(try await fixture.makeUser("app1"))
            let other = try await fixture.connect(try await fixture.makeUser("app2"))
            let refused = try await other.request(.GET, "/v1/data/", headers: session.headers)
            #expect(refused.status == 403)
            #expect(refused.code == "certificate-refused")
        }
    }

    // MARK: Second door: the handshake

    @Test func aNonceIsGoodOnce() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).status == 201)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    @Test func aFailedTryUsesTheNonceUp() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client, signature: [UInt8](repeating: 7, count: 64)).code == "handshake-failed")
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    @Test func aNonceIsTooLateAfterAMinute() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            fixture.clock.advance(61)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    @Test func aNonceBelongsToItsConnection() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            let other = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(other).code == "handshake-failed")
        }
    }

    @Test func aNonceBelongsToItsUser() async throws {
        try await withUser { (fixture, user) async throws in
            let second = try await fixture.makeUser("app2")
            let client = try await fixture.connect(second)
            var first = TestHandshake(user, client)
            _ = try await first.begin(client)
            var forged = TestHandshake(second, client)
            forged.transcript.serverNonce = first.transcript.serverNonce
            forged.transcript.serverID = first.transcript.serverID
            forged.transcript.expires = first.transcript.expires
            #expect(try await forged.end(client).code == "handshake-failed")
        }
    }

    @Test func anUnknownUserIsAnsweredLikeAnyOther() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var stranger = user
            stranger.name = "nobody"
            var handshake = TestHandshake(stranger, client)
            let answer = try await handshake.begin(client)
            #expect(answer.status == 200)
            #expect(Set(handshake.nonceAnswer.keys) == ["serverID", "instanceKey", "nonce", "expires", "proof"])
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    /// One field of the transcript is another one, in each round.
    @Test(arguments: 0..<8) func aSignatureOverAnotherTranscriptIsRefused(_ field: Int) async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            var other = handshake.transcript
            let digest = DigestHasher.digest(of: [1, 2, 3])
            switch field {
            case 0: other.user = "app2"
            case 1: other.keyFingerprint = digest.bytes
            case 2: other.serverID = Array(digest.bytes.prefix(16))
            case 3: other.serverCertificate = digest
            case 4: other.clientCertificate = digest
            case 5: other.serverNonce = digest.bytes
            case 6: other.clientNonce = digest.bytes
            default: other.expires += 1
            }
            let signature = user.key.signature(for: other.encoded(for: .clientSession))
            #expect(try await handshake.end(client, signature: signature).code == "handshake-failed")
        }
    }

    @Test func aSignatureForAnotherPurposeIsRefused() async throws {
        try await withUser { (fixture, user) async throws in
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(user, client)
            _ = try await handshake.begin(client)
            let signature = user.key.signature(for: handshake.transcript.encoded(for: .serverProof))
            #expect(try await handshake.end(client, signature: signature).code == "handshake-failed")
        }
    }

    @Test func theRightCertificateWithAnothersKeyIsRefused() async throws {
        try await withUser { (fixture, user) async throws in
            var thief = user
            thief.key = UserSecretKey.generate()
            let client = try await fixture.connect(user)
            var handshake = TestHandshake(thief, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    // MARK: Third door: the tokens

    @Test func bothTokensAreNeeded() async throws {
        try await withSession { (_, session) async throws in
            #expect(try await session.client.request(.GET, "/v1/data/").code == "authentication-required")
            for header in session.headers {
                #expect(try await session.client.request(.GET, "/v1/data/", headers: [header]).code == "authentication-required")
            }
            var wrong = session
            wrong.basic = "YXBwMTphYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
            #expect(try await wrong.request(.GET, "/v1/data/").code == "authentication-required")
        }
    }

    @Test func aTokenEndsAfterAnHour() async throws {
        try await withSession { (fixture, session) async throws in
            fixture.clock.advance(3601)
            #expect(try await session.request(.GET, "/v1/data/").code == "session-expired")
        }
    }

    /// Header and claims of the token are taken over, and signed as each case says.
    @Test(arguments: ["none", "HS256", "other key", "unknown kid", "no kid", "flipped"])
    func aForgedTokenIsRefused(_ forgery: String) async throws {
        try await withSession { (fixture, session) async throws in
            let parts = session.token.split(separator: ".").map(String.init)
            let header = try JSONDecoder().decode([String: JSONValue].self, from: Data(Base64URL.decode(parts[0]) ?? []))
            let kid = header["kid"]?.text ?? ""
            let claims = parts[1]
            let encode = { (text: String) in Base64URL.encode(Array(text.utf8)) }
            var forged = session
            let key = UserSecretKey.generate()
            let sign = { (header: String) in
                let input = encode(header) + "." + claims
                return input + "." + Base64URL.encode(key.signature(for: Array(input.utf8)))
            }
            switch forgery {
            case "none": forged.token = encode(#"{"alg":"none","typ":"JWT","kid":"\#(kid)"}"#) + "." + claims + "."
            case "HS256":
                // The public key, which anyone may know, as the secret of a MAC.
                forged.token = encode(#"{"alg":"HS256","typ":"JWT","kid":"\#(kid)"}"#) + "." + claims + "." + parts[2]
            case "other key": forged.token = sign(#"{"alg":"EdDSA","typ":"JWT","kid":"\#(kid)"}"#)
            case "unknown kid": forged.token = sign(#"{"alg":"EdDSA","typ":"JWT","kid":"0011223344556677"}"#)
            case "no kid": forged.token = sign(#"{"alg":"EdDSA","typ":"JWT"}"#)
            default:
                var signature = try #require(Base64URL.decode(parts[2]))
                signature[3] ^= 1
                forged.token = parts[0] + "." + claims + "." + Base64URL.encode(signature)
            }
            #expect(try await forged.request(.GET, "/v1/data/").code == "authentication-required")
            // The session itself is as it was.
            #expect(try await session.request(.GET, "/v1/data/").status == 200)
        }
    }

    @Test func aTokenOfAnotherInstanceIsRefused() async throws {
        let root = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let (user, before) = try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            return (user, try await fixture.open(user))
        }
        try await ServerFixture.with(root: root, starterKey: key) { (fixture) async throws in
            var old = before
            old.client = try await fixture.connect(user)
            #expect(try await old.request(.GET, "/v1/data/").code == "authentication-required")
            #expect(try await fixture.open(user).request(.GET, "/v1/data/").status == 200)
        }
    }

    @Test func aSessionIsRenewedTwentyFourTimes() async throws {
        try await withSession { (fixture, session) async throws in
            var session = session
            for round in 1...24 {
                fixture.clock.advance(1800)
                let answer = try await session.request(.POST, "/v1/auth/renew")
                #expect(answer.status == 201, "round \(round): \(answer.text)")
                #expect(answer.json["renewalsLeft"]?.number == Double(24 - round))
                session.token = try #require(answer.json["session"]?.text)
                #expect(try await session.request(.GET, "/v1/data/").status == 200)
            }
            #expect(try await session.request(.POST, "/v1/auth/renew").code == "renewals-used-up")
        }
    }

    @Test func aRetiredTokenEndsTheSession() async throws {
        try await withSession { (_, session) async throws in
            let answer = try await session.request(.POST, "/v1/auth/renew")
            var renewed = session
            renewed.token = try #require(answer.json["session"]?.text)
            #expect(try await renewed.request(.GET, "/v1/data/").status == 200)
            #expect(try await session.request(.GET, "/v1/data/").code == "session-ended")
            #expect(try await renewed.request(.GET, "/v1/data/").code == "session-ended")
        }
    }

    @Test func anEndedSessionIsOver() async throws {
        try await withSession { (_, session) async throws in
            #expect(try await session.request(.DELETE, "/v1/auth/session").status == 204)
            #expect(try await session.request(.GET, "/v1/data/").code == "session-ended")
        }
    }

    // MARK: Sealed

    @Test func aSealedServerSaysSo() async throws {
        try await withSession { (fixture, session) async throws in
            await fixture.server.seal(reason: "by the administrator")
            let answer = try await session.request(.GET, "/v1/data/")
            #expect(answer.status == 503)
            #expect(answer.code == "sealed")
            #expect(try await session.client.request(.GET, "/v1/server").json["state"]?.text == "sealed")
            try await fixture.server.unseal(fixture.starterKey)
            #expect(try await session.request(.GET, "/v1/data/").code == "authentication-required")
            await #expect(throws: Failure.self) { try await fixture.server.unseal(.random(count: 32)) }
        }
    }

    @Test func anotherStarterKeyOpensNothing() async throws {
        try await ServerFixture.with { (fixture) async throws in
            await fixture.server.seal(reason: "test")
            let failure = await #expect(throws: Failure.self) { try await fixture.server.unseal(.random(count: 32)) }
            #expect(failure?.kind == .wrongPassword)
        }
    }
}

extension DoorTests {
    private func withUser(_ body: @Sendable (ServerFixture, ServerFixture.TestUser) async throws -> Void) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.makeUser("app1"))
        }
    }

    private func withSession(_ body: @Sendable (ServerFixture, TestSession) async throws -> Void) async throws {
        try await withUser { (fixture, user) async throws in try await body(fixture, try await fixture.open(user)) }
    }
}
