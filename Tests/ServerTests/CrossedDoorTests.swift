import Identity
import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// Doors that are right for somebody else: another user, another server, another start of it.
@Suite struct CrossedDoorTests {
    private func withUsers(
        _ body: @Sendable (ServerFixture, ServerFixture.TestUser, ServerFixture.TestUser) async throws -> Void
    ) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.makeUser("app1"), try await fixture.makeUser("app2"))
        }
    }

    @Test func theRightKeyWithAnothersCertificateIsRefused() async throws {
        try await withUsers { (fixture, first, second) async throws in
            var crossed = first
            crossed.bundle = second.bundle
            let client = try await fixture.connect(crossed)
            var handshake = TestHandshake(crossed, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    /// One who has both the certificate and the key of a user is that user, whatever name is asked for.
    @Test func anothersNameWithOnesOwnKeyIsRefused() async throws {
        try await withUsers { (fixture, first, second) async throws in
            var posing = second
            posing.name = first.name
            let client = try await fixture.connect(posing)
            var handshake = TestHandshake(posing, client)
            _ = try await handshake.begin(client)
            #expect(try await handshake.end(client).code == "handshake-failed")
        }
    }

    @Test func theTokensOfTwoSessionsDoNotMix() async throws {
        try await withUsers { (fixture, first, second) async throws in
            let (one, other) = (try await fixture.open(first), try await fixture.open(second))
            var mixed = one
            mixed.basic = other.basic
            #expect(try await mixed.request(.GET, "/v1/data/").code == "authentication-required")
            // Of the same user, too.
            mixed.basic = try await fixture.open(first).basic
            #expect(try await mixed.request(.GET, "/v1/data/").code == "authentication-required")
            #expect(try await one.request(.GET, "/v1/data/").status == 200)
        }
    }

    @Test func aTokenIsOverWhenItsUserIsRevokedEvenIfTheNameIsMadeAgain() async throws {
        try await withUsers { (fixture, first, _) async throws in
            let session = try await fixture.open(first)
            try await fixture.server.revokeUser(first.name)
            #expect(try await session.request(.GET, "/v1/data/").code == "session-ended")
            #expect(try await session.request(.POST, "/v1/auth/renew").code == "session-ended")
        }
    }

    /// The victim talks to one server, and who sits between relays to another that has the same user and key.
    @Test func whatWasSignedForAnotherServerIsRefused() async throws {
        let key = UserSecretKey.generate()
        try await ServerFixture.with { (here) async throws in
            try await ServerFixture.with { (there) async throws in
                let victim = try await Self.user(of: here, key)
                let target = try await Self.user(of: there, key)
                let (honest, attacked) = (try await here.connect(victim), try await there.connect(target))
                var signed = TestHandshake(victim, honest)
                _ = try await signed.begin(honest)
                var relayed = TestHandshake(target, attacked)
                _ = try await relayed.begin(attacked)
                // As it was signed; and with the other server's nonce, which the victim was given instead.
                let asItIs = key.signature(for: signed.transcript.encoded(for: .clientSession))
                #expect(try await relayed.end(attacked, signature: asItIs).code == "handshake-failed")
                _ = try await relayed.begin(attacked)
                var transcript = signed.transcript
                transcript.serverNonce = relayed.transcript.serverNonce
                transcript.clientNonce = relayed.transcript.clientNonce
                transcript.expires = relayed.transcript.expires
                let lured = key.signature(for: transcript.encoded(for: .clientSession))
                #expect(try await relayed.end(attacked, signature: lured).code == "handshake-failed")
                // Neither server takes the other's certificates.
                await #expect(throws: (any Error).self) {
                    let stranger = try await TestClient.connect(
                        port: there.port, authority: try ServerFixture.authority(of: there.root), bundle: victim.bundle)
                    _ = try await stranger.request(.GET, "/v1/server")
                }
            }
        }
    }

    private static func user(of fixture: ServerFixture, _ key: UserSecretKey) async throws -> ServerFixture.TestUser {
        _ = try await fixture.server.createFileSystem("data")
        var user = try await fixture.makeUser("app1") { $0.key = Array(key.publicKey.base64.utf8) }
        user.key = key
        return user
    }

    /// The header says another algorithm than the one that the key is for.
    @Test(arguments: ["ES256", "RS256", "eddsa", "Ed25519", ""]) func aTokenOfAnotherAlgorithmIsRefused(_ algorithm: String) async throws {
        try await withUsers { (fixture, first, _) async throws in
            let session = try await fixture.open(first)
            let parts = session.token.split(separator: ".").map(String.init)
            let header = String(decoding: Base64URL.decode(parts[0]) ?? [], as: UTF8.self)
            #expect(header.contains("\"EdDSA\""))
            var forged = session
            forged.token =
                Base64URL.encode(Array(header.replacing("\"EdDSA\"", with: "\"\(algorithm)\"").utf8)) + "." + parts[1] + "." + parts[2]
            #expect(try await forged.request(.GET, "/v1/data/").code == "authentication-required")
            #expect(try await session.request(.GET, "/v1/data/").status == 200)
        }
    }

    /// A session's tokens of another start of the same server, with the keys that the server still has.
    @Test func aTokenDoesNotOutliveSealing() async throws {
        try await withUsers { (fixture, first, _) async throws in
            let before = try await fixture.open(first)
            await fixture.server.seal(reason: "test")
            try await fixture.server.unseal(fixture.starterKey)
            var again = before
            again.client = try await fixture.connect(first)
            #expect(try await again.request(.GET, "/v1/data/").code == "authentication-required")
            #expect(try await again.request(.POST, "/v1/auth/renew").code == "authentication-required")
        }
    }
}
