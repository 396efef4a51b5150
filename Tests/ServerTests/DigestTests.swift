import Crypto
import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// Digests that the server tells, names that are not UTF-8, and what a cut upload leaves.
@Suite struct DigestTests {
    private func with(_ body: @Sendable (ServerFixture, TestSession) async throws -> Void) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")))
        }
    }

    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) } }

    /// In the step that finds it, and in several.
    @Test(arguments: [0, 2048, 262_144, 262_145, 3_000_000]) func theDigestOfAFileIsToldIfAskedFor(_ size: Int) async throws {
        try await with { (_, session) async throws in
            let content = bytes(size)
            let field = "sha-256=:\(Base64.encode(Array(SHA256.hash(data: content)))):"
            _ = try await session.request(.PUT, "/v1/data/f", body: content)
            for method in [HTTPMethod.HEAD, .GET] {
                let plain = try await session.request(method, "/v1/data/f")
                #expect(plain.headers.first(name: "Repr-Digest") == nil)
                let told = try await session.request(method, "/v1/data/f", headers: [("Want-Repr-Digest", "sha-512=3, sha-256=1")])
                #expect(told.status == 200)
                #expect(told.headers.first(name: "Repr-Digest") == field)
                #expect(told.headers.first(name: "Content-Length") == String(size))
                #expect(told.body == (method == .GET ? content : []))
            }
            guard size > 100 else { return }
            let part = try await session.request(
                .GET, "/v1/data/f", headers: [("Want-Repr-Digest", "sha-256=10"), ("Range", "bytes=5-99")])
            #expect(part.status == 206)
            #expect(part.body == Array(content[5..<100]))
            #expect(part.headers.first(name: "Repr-Digest") == field)
        }
    }

    @Test(arguments: ["sha-256=0", "sha-512=1", "sha-256", "sha-256=x=", "", "SHA-256=1"]) func whatDoesNotAskGetsNone(_ wish: String)
        async throws
    {
        try await with { (_, session) async throws in
            _ = try await session.request(.PUT, "/v1/data/f", body: [1])
            let answer = try await session.request(.HEAD, "/v1/data/f", headers: [("Want-Repr-Digest", wish)])
            #expect(answer.status == 200)
            #expect(answer.headers.first(name: "Repr-Digest") == nil)
        }
    }

    @Test func aCutUploadLeavesNoDirectoriesEither() async throws {
        try await with { (fixture, session) async throws in
            var head = HTTPRequestHead(version: .http1_1, method: .PUT, uri: "/v1/data/a/b/c/file")
            head.headers.add(contentsOf: session.headers + [("Host", "localhost"), ("Content-Length", "4000000")])
            let cut = try await fixture.connectAgain(session)
            try await cut.send(head, bytes(2_500_000), ends: false)
            await cut.close()
            while fixture.server.connections.count > 1 { await Task.yield() }
            let wrong = try await session.request(
                .PUT, "/v1/data/x/y", headers: [("Content-Digest", "sha-256=:\(Base64.encode([UInt8](repeating: 0, count: 32))):")],
                body: [1])
            #expect(wrong.code == "digest-mismatch")
            #expect(try await session.request(.GET, "/v1/data/").json["entries"]?.list.isEmpty == true)
            #expect(try await session.request(.PUT, "/v1/data/a/b/c/file", body: [1]).status == 201)
            #expect(try await session.request(.PUT, "/v1/data/a/b/c/file/d", body: [1]).code == "not-a-directory")
        }
    }

    @Test func namesThatAreNotUTF8AreMovedCopiedAndUploaded() async throws {
        try await with { (_, session) async throws in
            let post = { (path: String, body: String) async throws -> TestClient.Answer in
                try await session.request(.POST, path, body: Array(body.utf8))
            }
            let encode = { (path: [UInt8]) in Base64URL.encode(path) }
            let odd: [UInt8] = Array("/d/".utf8) + [0xFF, 0xFE]
            _ = try await session.request(.PUT, "/v1/data/d/%FF%FE", body: [7])
            #expect(try await post("/v1/copy", #"{"fromBytes":"\#(encode(odd))","to":"/e/plain"}"#).status == 201)
            #expect(try await post("/v1/move", #"{"from":"/e/plain","toBytes":"\#(encode(Array("/e/".utf8) + [0x80]))"}"#).status == 201)
            #expect(try await session.request(.GET, "/v1/data/e/%80").body == [7])
            for wrong in [
                #"{"to":"/x"}"#, #"{"from":"/d","fromBytes":"L2Q","to":"/x"}"#, #"{"fromBytes":"L2Q=","to":"/x"}"#,
                #"{"fromBytes":"\#(encode(Array("/d/../e".utf8)))","to":"/x"}"#,
                #"{"fromBytes":"\#(encode(Array("/d".utf8) + [0]))","to":"/x"}"#,
            ] {
                #expect(try await post("/v1/move", wrong).status == 400, "\(wrong)")
            }
            let metadata = "path \(Base64.encode(Array("/up/".utf8) + [0xC0, 0x80]))"
            let made = try await session.request(
                .POST, "/v1/uploads",
                headers: [
                    ("Tus-Resumable", "1.0.0"), ("Upload-Length", "3"), ("Upload-Metadata", metadata),
                    ("Content-Type", "application/offset+octet-stream"),
                ], body: [1, 2, 3])
            #expect(made.status == 201)
            #expect(try await session.request(.GET, "/v1/data/up/%C0%80").body == [1, 2, 3])
        }
    }

    @Test func theRootIsNotMoved() async throws {
        try await with { (_, session) async throws in
            for body in [#"{"from":"/","to":"/"}"#, #"{"from":"/","to":"/x"}"#, #"{"from":"/x","to":"/"}"#] {
                let answer = try await session.request(.POST, "/v1/move", body: Array(body.utf8))
                #expect(answer.status == 409, "\(body): \(answer.text)")
            }
        }
    }
}
