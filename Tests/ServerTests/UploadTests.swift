import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// Uploads that go on after a cut (tus 1.0.0), moving, copying and metadata.
@Suite struct UploadTests {
    private func with(_ body: @Sendable (ServerFixture, TestSession) async throws -> Void) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")))
        }
    }

    private static let tus = ("Tus-Resumable", "1.0.0")
    private static let content = ("Content-Type", "application/offset+octet-stream")

    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13) } }

    private func create(_ session: TestSession, path: String, length: Int, more: String = "") async throws -> TestClient.Answer {
        let metadata = "path \(Base64.encode(Array(path.utf8)))\(more)"
        return try await session.request(
            .POST, "/v1/uploads", headers: [Self.tus, ("Upload-Length", String(length)), ("Upload-Metadata", metadata)])
    }

    private func patch(
        _ session: TestSession, _ location: String, at offset: Int, _ body: [UInt8], more: [(String, String)] = []
    ) async throws -> TestClient.Answer {
        try await session.request(
            .PATCH, location, headers: [Self.tus, Self.content, ("Upload-Offset", String(offset))] + more, body: body)
    }

    private func offset(_ session: TestSession, _ location: String) async throws -> Int? {
        let head = try await session.request(.HEAD, location, headers: [Self.tus])
        return head.headers.first(name: "Upload-Offset").flatMap { Int($0) }
    }

    @Test func partsBecomeAFile() async throws {
        try await with { (_, session) async throws in
            let whole = bytes(3_000_000)
            let made = try await create(session, path: "/up/f", length: whole.count)
            #expect(made.status == 201)
            let location = try #require(made.headers.first(name: "Location"))
            #expect(try await patch(session, location, at: 0, Array(whole[..<1_000_000])).status == 204)
            #expect(try await session.request(.GET, "/v1/data/up/f").status == 404)
            #expect(try await offset(session, location) == 1_000_000)
            #expect(try await patch(session, location, at: 999, [1]).code == "offset-mismatch")
            let last = try await patch(session, location, at: 1_000_000, Array(whole[1_000_000...]))
            #expect(last.status == 204)
            let get = try await session.request(.GET, "/v1/data/up/f")
            #expect(get.body == whole)
            #expect(get.headers.first(name: "ETag") == last.headers.first(name: "ETag"))
            #expect(get.headers.first(name: "Efs-Mode") == "644")
            #expect(try await session.request(.HEAD, location, headers: [Self.tus]).status == 404)
        }
    }

    @Test func aCutPartIsKept() async throws {
        try await with { (fixture, session) async throws in
            let whole = bytes(4_000_000)
            let location = try #require(try await create(session, path: "/f", length: whole.count).headers.first(name: "Location"))
            let cut = try await fixture.connectAgain(session)
            var head = HTTPRequestHead(version: .http1_1, method: .PATCH, uri: location)
            head.headers.add(contentsOf: session.headers + [Self.tus, Self.content, ("Upload-Offset", "0"), ("Host", "localhost")])
            head.headers.add(name: "Content-Length", value: "4000000")
            try await cut.send(head, Array(whole[..<2_500_000]), ends: false)
            await cut.close()
            // The request that was cut keeps what arrived, in steps, until it lets the upload go.
            var done: TestClient.Answer
            repeat {
                let start = try #require(try await offset(session, location))
                #expect((0...2_500_000).contains(start))
                done = try await patch(session, location, at: start, Array(whole[start...]))
            } while done.status == 423 || done.status == 409
            #expect(done.status == 204)
            #expect(try await session.request(.GET, "/v1/data/f").body == whole)
        }
    }

    @Test func anUploadSurvivesTheServer() async throws {
        let root = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let whole = bytes(500_000)
        let (user, location) = try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            let location = try #require(try await create(session, path: "/f", length: whole.count).headers.first(name: "Location"))
            #expect(try await patch(session, location, at: 0, Array(whole[..<300_000])).status == 204)
            return (user, location)
        }
        try await ServerFixture.with(root: root, starterKey: key) { (fixture) async throws in
            let session = try await fixture.open(user)
            #expect(try await offset(session, location) == 300_000)
            #expect(try await patch(session, location, at: 300_000, Array(whole[300_000...])).status == 204)
            #expect(try await session.request(.GET, "/v1/data/f").body == whole)
        }
    }

    @Test func anUploadBelongsToItsUserAndExpires() async throws {
        try await with { (fixture, session) async throws in
            let location = try #require(try await create(session, path: "/f", length: 10).headers.first(name: "Location"))
            let other = try await fixture.open(try await fixture.makeUser("app2"))
            #expect(try await other.request(.HEAD, location, headers: [Self.tus]).status == 404)
            #expect(try await session.request(.HEAD, location, headers: [Self.tus]).status == 200)
            #expect(try await session.request(.HEAD, location).status == 412)
            fixture.clock.advance(24 * 3600 + 10)
            let later = try await fixture.open(session.user)
            #expect(try await later.request(.HEAD, location, headers: [Self.tus]).status == 404)
            let fileSystem = try #require(try fixture.server.requireInstance().fileSystem("data"))
            #expect(try fileSystem.uploads.removeExpired(now: fixture.clock.clock.now()) == 1)
        }
    }

    @Test func checksumsDigestsAndConditions() async throws {
        try await with { (_, session) async throws in
            let whole = bytes(1000)
            let right = Base64.encode(DigestHasher.digest(of: whole).bytes)
            let wrong = Base64.encode(DigestHasher.digest(of: [1]).bytes)
            let location = try #require(try await create(session, path: "/f", length: 1000).headers.first(name: "Location"))
            let refused = try await patch(session, location, at: 0, whole, more: [("Upload-Checksum", "sha256 \(wrong)")])
            #expect(refused.status == 460)
            #expect(try await offset(session, location) == 0)
            #expect(try await patch(session, location, at: 0, whole, more: [("Upload-Checksum", "sha256 \(right)")]).status == 204)

            let digest = Base64.encode(Array(DigestHasher.digest(of: [1]).description.utf8))
            let bad = try #require(
                try await create(session, path: "/g", length: 1000, more: ",sha256 \(digest)").headers.first(name: "Location"))
            #expect(try await patch(session, bad, at: 0, whole).code == "digest-mismatch")
            #expect(try await session.request(.GET, "/v1/data/g").status == 404)

            let star = Base64.encode(Array("*".utf8))
            let only = try #require(
                try await create(session, path: "/f", length: 1, more: ",ifNoneMatch \(star)").headers.first(name: "Location"))
            #expect(try await patch(session, only, at: 0, [1]).status == 412)
            #expect(try await session.request(.GET, "/v1/data/f").body == whole)
            #expect(try await session.request(.DELETE, only, headers: [Self.tus]).status == 204)
            #expect(try await patch(session, only, at: 0, [1]).status == 404)
            #expect(try await create(session, path: "/../f", length: 1).code == "bad-path")
        }
    }

    // MARK: Names

    private func transfer(_ session: TestSession, _ verb: String, _ body: String) async throws -> TestClient.Answer {
        try await session.request(.POST, "/v1/\(verb)", body: Array(body.utf8))
    }

    @Test func movingAndCopying() async throws {
        try await with { (_, session) async throws in
            let whole = bytes(50_000)
            _ = try await session.request(.PUT, "/v1/data/a/f", body: whole)
            #expect(try await transfer(session, "move", #"{"from":"/a/f","to":"/b/c/g"}"#).status == 201)
            #expect(try await session.request(.GET, "/v1/data/a/f").status == 404)
            #expect(try await session.request(.GET, "/v1/data/b/c/g").body == whole)
            #expect(try await transfer(session, "copy", #"{"from":"/b/c/g","to":"/d/h"}"#).status == 201)
            #expect(try await session.request(.GET, "/v1/data/d/h").body == whole)
            #expect(try await transfer(session, "copy", #"{"from":"/b/c/g","to":"/d/h"}"#).code == "exists")
            #expect(try await transfer(session, "move", #"{"from":"/b/c/g","to":"/d/h"}"#).code == "exists")
            #expect(try await transfer(session, "move", #"{"from":"/b/c/g","to":"/d/h","overwrite":true}"#).status == 200)
            #expect(try await transfer(session, "move", #"{"from":"/b/c/g","to":"/x"}"#).status == 404)
            #expect(try await transfer(session, "move", #"{"from":"/b","to":"/d/b"}"#).status == 201)
            #expect(try await transfer(session, "move", #"{"from":"/d","to":"/d/b/d"}"#).code == "conflict")
            #expect(try await transfer(session, "move", #"{"from":"/d/..","to":"/x"}"#).code == "bad-path")
            #expect(try await transfer(session, "move", #"{"from":"/d"}"#).status == 400)
        }
    }

    @Test func metadataIsReadAndChanged() async throws {
        try await with { (_, session) async throws in
            let put = try await session.request(.PUT, "/v1/data/f", body: bytes(10))
            let tag = try #require(put.headers.first(name: "ETag"))
            let body = Array(#"{"modified":1000000000,"mode":384}"#.utf8)
            #expect(try await session.request(.PATCH, "/v1/metadata/f", headers: [("If-Match", "\"x\"")], body: body).status == 412)
            let changed = try await session.request(.PATCH, "/v1/metadata/f", headers: [("If-Match", tag)], body: body)
            #expect(changed.status == 200)
            #expect(changed.json["modified"]?.number == 1_000_000_000)
            #expect(changed.json["mode"]?.number == 384)
            #expect(changed.headers.first(name: "ETag") != tag)
            let get = try await session.request(.GET, "/v1/metadata/f")
            #expect(get.json["type"]?.text == "file")
            #expect(get.json["size"]?.number == 10)
            #expect(try await session.request(.GET, "/v1/metadata/").json["type"]?.text == "directory")
            #expect(try await session.request(.GET, "/v1/file-system").json["name"]?.text == "data")
            #expect(try await session.client.request(.GET, "/v1/openapi.json").json["openapi"]?.text == "3.1.0")
        }
    }
}
