import FileSystem
import FoundationEssentials
import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// What file systems and users may hold.
@Suite struct QuotaTests {
    private static let tus = ("Tus-Resumable", "1.0.0")

    private func with(
        quota: UInt64?, _ body: @Sendable (ServerFixture, TestSession) async throws -> Void
    ) async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data", quotaBytes: quota)
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")))
        }
    }

    private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }

    private func put(_ session: TestSession, _ path: String, _ count: Int) async throws -> Int {
        try await session.request(.PUT, "/v1/data/\(path)", body: bytes(count)).status
    }

    private func used(_ fixture: ServerFixture, _ name: String = "data") throws -> UInt64 {
        try #require(try fixture.server.requireInstance().fileSystem(name)).usage.sums.total
    }

    @Test func aFileSystemHoldsAsMuchAsItMay() async throws {
        try await with(quota: 1_000_000) { (fixture, session) async throws in
            #expect(try await put(session, "a", 600_000) == 201)
            let refused = try await session.request(.PUT, "/v1/data/b", body: bytes(400_001))
            #expect(refused.status == 507)
            #expect(refused.code == "quota-exceeded")
            #expect(try await session.request(.GET, "/v1/data/b").status == 404)
            #expect(try await put(session, "b", 400_000) == 201)
            #expect(try used(fixture) == 1_000_000)
            #expect(try await put(session, "c", 1) == 507)
            #expect(try await put(session, "empty", 0) == 201)
            // The old content goes with the new one.
            #expect(try await put(session, "a", 600_000) == 200)
            #expect(try await put(session, "a", 600_001) == 507)
            #expect(try await put(session, "a", 500_000) == 200)
            #expect(try await put(session, "c", 100_000) == 201)
            #expect(try await session.request(.DELETE, "/v1/data/b").status == 204)
            #expect(try used(fixture) == 600_000)
            #expect(try await put(session, "b", 400_000) == 201)
            let shown = try await session.request(.GET, "/v1/file-system").json
            #expect(shown["quotaBytes"]?.number == 1_000_000)
            #expect(shown["usedBytes"]?.number == 1_000_000)
            #expect(shown["userUsedBytes"]?.number == 1_000_000)
        }
    }

    /// A length that is known is judged before the body is sent; one that is not, as it comes.
    @Test func theLengthIsJudgedAsEarlyAsItIsKnown() async throws {
        try await with(quota: 1_000_000) { (fixture, session) async throws in
            for path in ["/v1/data/f", "/v1/data/d/e"] {
                let client = try await fixture.connectAgain(session)
                var head = HTTPRequestHead(version: .http1_1, method: .PUT, uri: path)
                head.headers.add(
                    contentsOf: session.headers + [("Host", "localhost"), ("Content-Length", "1000001"), ("Expect", "100-continue")])
                try await client.send(head, [], ends: false)
                #expect(try await client.answer().code == "quota-exceeded")
            }
            let client = try await fixture.connectAgain(session)
            let chunked = try await client.request(
                .PUT, "/v1/data/f", headers: session.headers + [("Transfer-Encoding", "chunked")], body: bytes(1_000_001))
            #expect(chunked.code == "quota-exceeded")
            #expect(try await session.request(.GET, "/v1/data/f").status == 404)
            // Nothing stays claimed.
            #expect(try await put(session, "f", 1_000_000) == 201)
        }
    }

    @Test func aUserWritesAsMuchAsTheUserMay() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let small = try await fixture.open(try await fixture.makeUser("small") { $0.quotaBytes = 10_000 })
            let other = try await fixture.open(try await fixture.makeUser("other"))
            #expect(try await put(small, "a", 8000) == 201)
            #expect(try await put(small, "b", 2001) == 507)
            #expect(try await put(other, "b", 50_000) == 201)
            // What another user wrote is replaced by the user's own.
            #expect(try await put(small, "b", 2001) == 507)
            #expect(try await put(small, "b", 2000) == 200)
            // What another user replaces counts for that one.
            #expect(try await put(other, "a", 9000) == 200)
            #expect(try await put(small, "c", 8000) == 201)
            let shown = try await small.request(.GET, "/v1/file-system").json
            #expect(shown["userQuotaBytes"]?.number == 10_000)
            #expect(shown["userUsedBytes"]?.number == 10_000)
            #expect(shown["usedBytes"]?.number == 19_000)
            let metrics = fixture.server.metricsText()
            #expect(metrics.contains("efs_user_used_bytes{fs=\"data\",user=\"small\"} 10000\n"))
            #expect(metrics.contains("efs_user_quota_bytes{fs=\"data\",user=\"small\"} 10000\n"))
            #expect(metrics.contains("efs_used_bytes{fs=\"data\"} 19000\n"))
        }
    }

    @Test func copiesAndMovesCount() async throws {
        try await with(quota: 100_000) { (fixture, session) async throws in
            let transfer = { (verb: String, body: String) async throws -> TestClient.Answer in
                try await session.request(.POST, "/v1/\(verb)", body: Array(body.utf8))
            }
            #expect(try await put(session, "a", 40_000) == 201)
            #expect(try await transfer("copy", #"{"from":"/a","to":"/b"}"#).status == 201)
            #expect(try await transfer("copy", #"{"from":"/a","to":"/c"}"#).code == "quota-exceeded")
            #expect(try await transfer("copy", #"{"from":"/a","to":"/b","overwrite":true}"#).status == 200)
            #expect(try used(fixture) == 80_000)
            #expect(try await transfer("move", #"{"from":"/a","to":"/b","overwrite":true}"#).status == 200)
            #expect(try used(fixture) == 40_000)
            _ = try await put(session, "t/u/x", 30_000)
            #expect(try await session.request(.DELETE, "/v1/data/t?recursive=true").status == 204)
            #expect(try used(fixture) == 40_000)
        }
    }

    private func create(_ session: TestSession, _ path: String, _ length: Int) async throws -> TestClient.Answer {
        try await session.request(
            .POST, "/v1/uploads",
            headers: [
                Self.tus, ("Upload-Length", String(length)), ("Upload-Metadata", "path \(Base64.encode(Array(path.utf8)))"),
            ])
    }

    private func patch(_ session: TestSession, _ location: String, _ offset: Int, _ count: Int) async throws -> TestClient.Answer {
        try await session.request(
            .PATCH, location,
            headers: [Self.tus, ("Content-Type", "application/offset+octet-stream"), ("Upload-Offset", String(offset))],
            body: bytes(count))
    }

    @Test func uploadsInPartsCount() async throws {
        try await with(quota: 1_000_000) { (fixture, session) async throws in
            #expect(try await create(session, "/f", 1_000_001).code == "quota-exceeded")
            let first = try #require(try await create(session, "/f", 700_000).headers.first(name: "Location"))
            let second = try #require(try await create(session, "/g", 700_000).headers.first(name: "Location"))
            #expect(try await patch(session, first, 0, 600_000).status == 204)
            #expect(try used(fixture) == 600_000)
            #expect(try await patch(session, second, 0, 500_000).code == "quota-exceeded")
            #expect(try await patch(session, second, 0, 300_000).status == 204)
            #expect(try await patch(session, first, 600_000, 100_000).status == 204)
            #expect(try used(fixture) == 1_000_000)
            #expect(try await session.request(.GET, "/v1/data/f").body.count == 700_000)
            #expect(try await patch(session, second, 300_000, 400_000).code == "quota-exceeded")
            #expect(try await session.request(.DELETE, second, headers: [Self.tus]).status == 204)
            #expect(try used(fixture) == 700_000)
            // Over what is there: its size is free as soon as it is gone.
            let third = try #require(try await create(session, "/f", 900_000).headers.first(name: "Location"))
            // Two that are to replace the same file do not both get its room.
            let fourth = try #require(try await create(session, "/f", 600_000).headers.first(name: "Location"))
            #expect(try await patch(session, third, 0, 500_000).status == 204)
            #expect(try await patch(session, fourth, 0, 500_001).code == "quota-exceeded")
            #expect(try await patch(session, third, 500_000, 400_000).status == 204)
            #expect(try used(fixture) == 900_000)
        }
    }

    /// Many write, replace and delete at a time: the quota is never passed, and the sum is right in the end.
    @Test func manyWritersNeverPassTheQuota() async throws {
        let quota: UInt64 = 300_000
        try await with(quota: quota) { (fixture, first) async throws in
            let fileSystem = try #require(try fixture.server.requireInstance().fileSystem("data"))
            let refusals = try await withThrowingTaskGroup(of: Int.self) { group in
                for writer in 0..<6 {
                    group.addTask {
                        let session = try await fixture.open(first.user)
                        var refusals = 0
                        for round in 0..<25 {
                            let size = (writer * 37 + round * 11) % 9 * 10_000
                            let name = "f\((writer + round) % 7)"
                            if round % 6 == 5 {
                                _ = try await session.request(.DELETE, "/v1/data/\(name)")
                            } else {
                                let status = try await put(session, name, size)
                                #expect([200, 201, 507].contains(status))
                                if status == 507 { refusals += 1 }
                            }
                            #expect(fileSystem.usage.sums.total <= quota)
                        }
                        return refusals
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(refusals > 0)
            let entries = try await first.request(.GET, "/v1/data/").json["entries"]?.list ?? []
            #expect(fileSystem.usage.sums.total == UInt64(entries.reduce(0) { $0 + ($1["size"]?.number ?? 0) }))
        }
    }

    // MARK: Over restarts

    @Test func theSumsAreKeptWhenTheServerEnds() async throws {
        let root = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let user = try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data", quotaBytes: 10_000)
            let user = try await fixture.makeUser("app1") { $0.quotaBytes = 9000 }
            #expect(try await put(try await fixture.open(user), "a", 8000) == 201)
            return user
        }
        try await ServerFixture.with(root: root, starterKey: key) { (fixture) async throws in
            let sums = try #require(try fixture.server.requireInstance().fileSystem("data")).usage.sums
            #expect(sums.total == 8000)
            #expect(!sums.isCounting)
            let session = try await fixture.open(user)
            #expect(try await put(session, "b", 1001) == 507)
            #expect(try await put(session, "b", 1000) == 201)
            _ = try await fixture.server.setQuota(ofUser: "app1", nil)
            #expect(try await put(session, "c", 1001) == 507)
            _ = try await fixture.server.setQuota(ofFileSystem: "data", 20_000)
            #expect(try await put(session, "c", 1001) == 201)
        }
    }

    /// A copy of the directory is what a crash leaves.
    @Test func afterACrashTheFilesAreCounted() async throws {
        let copy = try ServerFixture.makeDirectory() + "/copy"
        let key = SecretBytes.random(count: 32)
        let user = try await ServerFixture.with(starterKey: key) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data", quotaBytes: 1_000_000)
            let user = try await fixture.makeUser("app1", grants: nil) { $0.quotaBytes = 500_000 }
            let session = try await fixture.open(user)
            for number in 0..<30 { #expect(try await put(session, "d\(number % 3)/f\(number)", number * 100) == 201) }
            _ = try await session.request(.DELETE, "/v1/data/d0/f3")
            try fixture.copyRoot(to: copy)
            return user
        }
        try await ServerFixture.with(root: copy, starterKey: key) { (fixture) async throws in
            let fileSystem = try #require(try fixture.server.requireInstance().fileSystem("data"))
            let session = try await fixture.open(user)
            #expect(try await put(session, "new", 1000) == 201)
            while fileSystem.usage.isCounting { await Task.yield() }
            let expected = UInt64((0..<30).reduce(0) { $0 + $1 * 100 } - 300 + 1000)
            #expect(fileSystem.usage.sums.total == expected)
            #expect(fileSystem.usage.sums.groups.values.first == expected)
            #expect(try await put(session, "more", 500_000 - Int(expected) + 1) == 507)
        }
    }

    /// Changes while the files are counted, of those that were and of those that were not.
    @Test func countingGoesOnWhileFilesChange() async throws {
        let copy = try ServerFixture.makeDirectory() + "/copy"
        let key = SecretBytes.random(count: 32)
        let user = try await ServerFixture.with(starterKey: key) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            for number in 0..<40 { #expect(try await put(session, "f\(number)", 1000 + number) == 201) }
            try fixture.copyRoot(to: copy)
            return user
        }
        try await ServerFixture.with(root: copy, starterKey: key) { (fixture) async throws in
            let fileSystem = try #require(try fixture.server.requireInstance().fileSystem("data"))
            let session = try await fixture.open(user)
            while fileSystem.usage.isCounting { await Task.yield() }
            // As if the server had just started: the counting begins anew, a few at a time.
            let before = fileSystem.usage.sums
            fileSystem.usage.begin(nil, fileSystem.volume)
            #expect(fileSystem.usage.sums.total == 0)
            var number = 0
            var isDone = false
            while !isDone {
                isDone = try fileSystem.usage.countStep(fileSystem.files, limit: 5)
                _ = try await put(session, "f\(number * 7 % 40)", number * 13)
                _ = try await session.request(.DELETE, "/v1/data/f\(number * 11 % 40)")
                number += 1
            }
            #expect(before.total > 0)
            #expect(number > 5)
            let entries = try await session.request(.GET, "/v1/data/").json["entries"]?.list ?? []
            let expected = UInt64(entries.reduce(0) { $0 + ($1["size"]?.number ?? 0) })
            #expect(fileSystem.usage.sums.total == expected)
            #expect(fileSystem.usage.sums.groups.values.first == expected)
        }
    }
}
