import FoundationEssentials
import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// Files that are answered from memory, on the event loop: the same answers, and no door is open that was closed before.
@Suite struct QuickReaderTests {
    private let content = [UInt8](repeating: 7, count: 4096)

    /// With a file that was read often enough to be answered from memory; `grants` are those of its reader.
    private func with(
        grants: [Grant]? = nil, _ edit: (inout ServerOptions) -> Void = { _ in },
        _ body: @Sendable (ServerFixture, TestSession, TestSession) async throws -> Void
    ) async throws {
        try await ServerFixture.with(edit) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let writer = try await fixture.open(try await fixture.makeUser("writer"))
            let reader = try await fixture.open(try await fixture.makeUser("reader", grants: grants))
            _ = try await writer.request(.PUT, "/v1/data/d/e/f", body: content)
            for _ in 0..<3 { #expect(try await writer.request(.GET, "/v1/data/d/e/f").body == content) }
            try await body(fixture, writer, reader)
        }
    }

    private func files(_ fixture: ServerFixture) throws -> HotFiles {
        try #require(try fixture.server.requireInstance().fileSystem("data")).hotFiles
    }

    @Test func theAnswerIsTheSame() async throws {
        try await with { (fixture, writer, reader) async throws in
            #expect(try files(fixture).find("/d/e/f") != nil)
            let lines = fixture.server.audit.head.sequence
            // The first of a connection goes the usual way, the next one does not.
            let usual = try await reader.request(.GET, "/v1/data/d/e/f")
            let quick = try await reader.request(.GET, "/v1/data/d/e/f")
            #expect(quick.status == 200 && quick.body == content)
            for (name, value) in usual.headers { #expect(quick.headers.first(name: name) == value, "\(name)") }
            #expect(quick.headers.count == usual.headers.count)
            #expect(fixture.server.audit.head.sequence == lines + 2)
            for _ in 0..<50 { #expect(try await reader.request(.GET, "/data/d/e/f").body == content) }
            // Others on the same connection, between them.
            #expect(try await reader.request(.HEAD, "/v1/data/d/e/f").headers.first(name: "Content-Length") == "4096")
            #expect(try await reader.request(.GET, "/v1/data/d/e/f", headers: [("Range", "bytes=1-2")]).status == 206)
            let tag = quick.headers.first(name: "ETag") ?? ""
            #expect(try await reader.request(.GET, "/v1/data/d/e/f", headers: [("If-None-Match", tag)]).status == 304)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f/").status == 409)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f?x=1").body == content)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f", body: [1, 2, 3]).status == 200)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").body == content)
        }
    }

    @Test func whatChangesIsNotAnsweredFromMemory() async throws {
        try await with { (_, writer, reader) async throws in
            for round in 1...20 {
                let next = [UInt8](repeating: UInt8(round), count: 100 * round)
                _ = try await writer.request(.PUT, "/v1/data/d/e/f", body: next)
                for _ in 0..<3 { #expect(try await reader.request(.GET, "/v1/data/d/e/f").body == next) }
            }
            let away = Array(#"{"from":"/d","to":"/x"}"#.utf8)
            #expect(try await writer.request(.POST, "/v1/move", body: away).status == 201)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 404)
            let back = Array(#"{"from":"/x","to":"/d"}"#.utf8)
            #expect(try await writer.request(.POST, "/v1/move", body: back).status == 201)
            for _ in 0..<3 { #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 200) }
            #expect(try await writer.request(.DELETE, "/v1/data/d/e/f").status == 204)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 404)
        }
    }

    @Test func rightsAreAskedEachTime() async throws {
        try await with(grants: [Grant(prefix: "/d/e", rights: "l"), Grant(prefix: "/", rights: "rl")]) { (_, _, reader) async throws in
            for _ in 0..<3 { #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 403) }
        }
    }

    @Test func bothTokensAndTheCertificateAreAskedEachTime() async throws {
        try await with { (fixture, writer, reader) async throws in
            for _ in 0..<3 { #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 200) }
            let path = "/v1/data/d/e/f"
            for headers in [
                [("Efs-Session", reader.token)], [("Authorization", "Basic \(reader.basic)")],
                [("Authorization", "Basic \(writer.basic)"), ("Efs-Session", reader.token)],
                [("Authorization", "Basic \(reader.basic)"), ("Efs-Session", reader.token + "x")], [],
            ] {
                #expect(try await reader.client.request(.GET, path, headers: headers).status == 401)
            }
            // Another's session, over one's own connection.
            #expect(try await reader.client.request(.GET, path, headers: writer.headers).status == 403)
            for _ in 0..<3 { #expect(try await reader.request(.GET, path).status == 200) }
            try await fixture.server.revokeUser("reader")
            #expect([401, 403].contains(try await reader.request(.GET, path).status))
        }
    }

    @Test func sessionsEndHereToo() async throws {
        try await with { (fixture, _, reader) async throws in
            for _ in 0..<3 { #expect(try await reader.request(.GET, "/v1/data/d/e/f").status == 200) }
            fixture.clock.advance(3601)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").code == "session-expired")
        }
    }

    @Test func ratesCount() async throws {
        try await with({ $0.requestsPerSecond = 5 }) { (_, _, reader) async throws in
            var statuses: [Int] = []
            for _ in 0..<15 { statuses.append(try await reader.request(.GET, "/v1/data/d/e/f").status) }
            #expect(statuses == Array(repeating: 200, count: 10) + Array(repeating: 429, count: 5))
        }
    }

    @Test func clearingAndSealingForget() async throws {
        try await with { (fixture, _, reader) async throws in
            let files = try files(fixture)
            #expect(try await reader.request(.POST, "/v1/cache/clear").status == 200)
            #expect(files.find("/d/e/f") == nil)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").body == content)
            #expect(files.find("/d/e/f") != nil)
            await fixture.server.seal(reason: "test")
            #expect(files.find("/d/e/f") == nil)
            #expect(try await reader.request(.GET, "/v1/data/d/e/f").code == "sealed")
        }
    }

    /// The audit log is one chain, whatever way an access took.
    @Test func theAuditLogIsJSONAndChained() async throws {
        try await with { (fixture, _, reader) async throws in
            for _ in 0..<5 { _ = try await reader.request(.GET, "/v1/data/d/e/f") }
            let text = try #require(try ServerFiles.read(fixture.root + "/log/audit.log"))
            var previous = Digest32.zero
            for (index, line) in text.dropLast().split(separator: UInt8(ascii: "\n")).enumerated() {
                let object = try JSONDecoder().decode(JSONValue.self, from: Data(line))
                #expect(object["prev"]?.text == previous.description)
                #expect(object["seq"]?.number == Double(index + 1))
                previous = DigestHasher.digest(of: Array(line))
            }
            #expect(fixture.server.audit.head.digest == previous)
            var line = AuditLine(bytes: [])
            line.append("a", "\"\\\n\u{1}é")
            line.append("b", -5)
            let object = try JSONDecoder().decode(JSONValue.self, from: Data(line.finish()))
            #expect(object["a"]?.text == "\"\\\n\u{1}é")
            #expect(object["b"]?.number == -5)
        }
    }
}
