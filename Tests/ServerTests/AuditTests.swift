import FoundationEssentials
import Sealing
import Syscalls
import Testing

@testable import Server

/// The log of accesses, and what shows when somebody has changed it.
@Suite struct AuditTests {
    private func with(_ body: @Sendable (ServerFixture, TestSession) async throws -> Void) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")))
        }
    }

    private func log(_ fixture: ServerFixture) -> String { fixture.root + "/log/audit.log" }

    private func lines(_ fixture: ServerFixture) throws -> [String] {
        let bytes = try #require(try ServerFiles.read(log(fixture)))
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    /// In place, since the server has the file open.
    private func rewrite(_ fixture: ServerFixture, _ lines: [String]) throws {
        try ServerFiles.write(log(fixture), Array(lines.map { $0 + "\n" }.joined().utf8))
    }

    /// A line is written once its answer is: the last one may still be on its way.
    private func wait(_ fixture: ServerFixture, for count: UInt64) async {
        while fixture.server.audit.head.sequence < count { await Task.yield() }
    }

    @Test func eachAccessHasALine() async throws {
        try await with { (fixture, session) async throws in
            await wait(fixture, for: 2)
            let start = fixture.server.audit.head.sequence
            _ = try await session.request(.PUT, "/v1/data/a/b", body: [UInt8](repeating: 1, count: 5000))
            _ = try await session.request(.GET, "/v1/data/a/b", headers: [("Range", "bytes=0-9")])
            _ = try await session.request(.GET, "/v1/data/nothing")
            _ = try await session.client.request(.GET, "/v1/data/a/b")
            _ = try await session.request(.POST, "/v1/move", body: Array(#"{"from":"/a/b","to":"/c"}"#.utf8))
            await wait(fixture, for: start + 5)
            let entries = try lines(fixture).suffix(5).map { try JSONDecoder().decode(JSONValue.self, from: Data($0.utf8)) }
            #expect(entries.map { $0["op"]?.text ?? "" } == ["PUT", "GET", "GET", "GET", "POST /move"])
            #expect(entries.map { $0["status"]?.number ?? 0 } == [201, 206, 404, 401, 201])
            #expect(entries.map { $0["bytes"]?.number ?? -1 } == [5000, 10, 0, 0, 0])
            #expect(entries.map { $0["user"]?.text ?? "-" } == ["app1", "app1", "app1", "", "app1"])
            #expect(entries.map { $0["seq"]?.number ?? 0 } == (1...5).map { Double(start) + Double($0) })
            #expect(entries[0]["path"]?.text == entries[1]["path"]?.text)
            #expect(entries[0]["path"]?.text == entries[4]["path"]?.text)
            #expect(entries[0]["path"]?.text?.count == 32)
            #expect(entries[4]["to"]?.text != nil)
            // No path is there as it is.
            #expect(try !lines(fixture).contains { $0.contains("a/b") || $0.contains("nothing") })
            #expect(fixture.server.metrics.bytesReceived.total == 5000)
            #expect(fixture.server.metrics.bytesSent.total == 10)
        }
    }

    @Test func accessesToAPathAreFound() async throws {
        try await with { (fixture, session) async throws in
            await wait(fixture, for: 2)
            let start = fixture.server.audit.head.sequence
            for path in ["a/b", "a", "a/b", "x", "a/b/"] { _ = try await session.request(.GET, "/v1/data/\(path)") }
            _ = try await session.request(.POST, "/v1/copy", body: Array(#"{"from":"/x","to":"/a/b"}"#.utf8))
            await wait(fixture, for: start + 6)
            let found = try await fixture.server.searchAudit(fileSystem: "data", path: "/a/b", limit: 100)
            #expect(found.count == 4)
            #expect(try await fixture.server.searchAudit(fileSystem: "data", path: "/a/b", limit: 2) == found.suffix(2))
            #expect(try await fixture.server.searchAudit(fileSystem: "data", path: "/nowhere", limit: 100) == [])
            await #expect(throws: Failure.self) { try await fixture.server.searchAudit(fileSystem: "other", path: "/a", limit: 1) }
        }
    }

    /// Each way to change the log, and the place that is told.
    @Test(arguments: ["changed", "removed", "swapped", "inserted", "cut", "emptied", "first"])
    func tamperingIsFoundAndWhere(_ way: String) async throws {
        try await with { (fixture, session) async throws in
            for number in 0..<10 { _ = try await session.request(.GET, "/v1/data/f\(number)") }
            await wait(fixture, for: 12)
            let whole = try await fixture.server.verifyAudit(head: nil)
            #expect(whole.isWhole, "\(whole.lines)")
            let original = try lines(fixture)
            var changed = original
            let expected: String
            switch way {
            case "changed":
                changed[4] = changed[4].replacing("\"status\":404", with: "\"status\":200")
                expected = "line 6, byte \(original[..<5].reduce(0) { $0 + $1.utf8.count + 1 }): entry 5 was changed"
            case "removed":
                changed.remove(at: 4)
                expected = "line 5, byte \(original[..<4].reduce(0) { $0 + $1.utf8.count + 1 }): entries 5 to 5 are missing"
            case "swapped":
                changed.swapAt(4, 5)
                expected = "entry 5 comes after entry 6"
            case "inserted":
                changed.insert(changed[4], at: 5)
                expected = "entry 5 comes after entry 5"
            case "cut":
                changed.removeLast(2)
                expected = "the end is missing: the last entry is \(original.count - 2)"
            case "emptied":
                changed = []
                expected = "the end is missing: the last entry is 0"
            default:
                changed.removeFirst(3)
                expected = "line 1, byte 0: entries 1 to 3 are missing"
            }
            #expect(changed != original)
            try rewrite(fixture, changed)
            let report = try await fixture.server.verifyAudit(head: nil)
            #expect(!report.isWhole)
            #expect(report.lines.contains { $0.contains(expected) }, "\(report.lines)")
            try rewrite(fixture, original)
            #expect(try await fixture.server.verifyAudit(head: nil).isWhole)
        }
    }

    /// A log that was written anew, chain and all, does not lead to a head that was noted.
    @Test func aHeadThatWasNotedTellsOfAnotherHistory() async throws {
        try await with { (fixture, session) async throws in
            _ = try await session.request(.GET, "/v1/data/")
            await wait(fixture, for: 3)
            let head = fixture.server.audit.head
            #expect(try await fixture.server.verifyAudit(head: "\(head.sequence):\(head.digest)").isWhole)
            #expect(try await !fixture.server.verifyAudit(head: "\(head.sequence):\(Digest32.zero)").isWhole)
            #expect(try await !fixture.server.verifyAudit(head: "1000:\(Digest32.zero)").isWhole)
            await #expect(throws: Failure.self) { try await fixture.server.verifyAudit(head: "nonsense") }
        }
    }

    /// The log goes on behind what a crash has cut; that it was cut while the server was sealed shows later.
    @Test func theLogGoesOnAfterACrash() async throws {
        let root = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let user = try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            _ = try await fixture.open(user).request(.GET, "/v1/data/")
            return user
        }
        let path = root + "/log/audit.log"
        let bytes = try #require(try ServerFiles.read(path))
        try ServerFiles.write(path, bytes + Array(#"{"bytes":0,"cert":"#.utf8))
        try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            let before = fixture.server.audit.head.sequence
            #expect(before > 0)
            _ = try await fixture.open(user).request(.GET, "/v1/data/")
            await wait(fixture, for: before + 3)
            let report = try await fixture.server.verifyAudit(head: nil)
            #expect(report.isWhole, "\(report.lines)")
            #expect(report.lines.contains { $0.hasPrefix("1 lines were cut by a crash") })
        }
        // Whole lines are taken away at the end while nobody serves.
        try ServerFiles.write(path, bytes)
        try await ServerFixture.with(root: root, starterKey: key) { (fixture) async throws in
            let report = try await fixture.server.verifyAudit(head: nil)
            #expect(!report.isWhole)
            #expect(report.lines.contains { $0.contains("the server when it was last sealed tells of entry") }, "\(report.lines)")
        }
    }
}
