import Crypto
import FoundationEssentials
import NIOHTTP1
import Sealing
import Testing

@testable import Server

/// Files over HTTPS: what docs/HTTP_API.md says of `/v1/data`.
@Suite struct DataTests {
    private func with(
        grants: [Grant]? = nil, _ edit: (inout ServerOptions) -> Void = { _ in },
        _ body: @Sendable (ServerFixture, TestSession) async throws -> Void
    ) async throws {
        try await ServerFixture.with(edit) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1", grants: grants)))
        }
    }

    private func bytes(_ count: Int, seed: UInt8 = 1) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) } }

    /// Inline, in one step, just beside a step, and in several.
    @Test(arguments: [0, 1, 2048, 2049, 300_000, 1 << 20, (1 << 20) + 1, 5_000_000])
    func whatIsPutIsGot(_ size: Int) async throws {
        try await with { (_, session) async throws in
            let content = bytes(size)
            let put = try await session.request(.PUT, "/v1/data/x/file", body: content)
            #expect(put.status == 201)
            #expect(put.json["size"]?.number == Double(size))
            let get = try await session.request(.GET, "/v1/data/x/file")
            #expect(get.status == 200)
            #expect(get.body == content)
            #expect(get.headers.first(name: "Content-Length") == String(size))
            #expect(get.headers.first(name: "ETag") == put.headers.first(name: "ETag"))
            let head = try await session.request(.HEAD, "/v1/data/x/file")
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.headers.first(name: "Content-Length") == String(size))
        }
    }

    @Test func replacingGivesAnotherTagAndSays200() async throws {
        try await with { (_, session) async throws in
            let first = try await session.request(.POST, "/v1/data/f", body: bytes(10))
            let second = try await session.request(.POST, "/v1/data/f", body: bytes(20, seed: 9))
            #expect(first.status == 201)
            #expect(second.status == 200)
            #expect(first.headers.first(name: "ETag") != second.headers.first(name: "ETag"))
            #expect(try await session.request(.GET, "/v1/data/f").body == bytes(20, seed: 9))
        }
    }

    @Test(arguments: [
        ("bytes=0-0", 206, 0..<1), ("bytes=5-9", 206, 5..<10), ("bytes=90-200", 206, 90..<100), ("bytes=-7", 206, 93..<100),
        ("bytes=50-", 206, 50..<100), ("bytes=0-1,5-6", 200, 0..<100), ("lines=1-2", 200, 0..<100), ("bytes=7-3", 200, 0..<100),
        ("bytes=100-", 416, 0..<0), ("bytes=-0", 416, 0..<0),
    ])
    func rangesAreServed(_ range: String, _ status: Int, _ expected: Range<Int>) async throws {
        try await with { (_, session) async throws in
            let content = bytes(100)
            _ = try await session.request(.PUT, "/v1/data/f", body: content)
            let get = try await session.request(.GET, "/v1/data/f", headers: [("Range", range)])
            #expect(get.status == status)
            if status == 416 {
                #expect(get.headers.first(name: "Content-Range") == "bytes */100")
                return
            }
            #expect(get.body == Array(content[expected]))
            if status == 206 {
                #expect(get.headers.first(name: "Content-Range") == "bytes \(expected.lowerBound)-\(expected.upperBound - 1)/100")
            }
        }
    }

    @Test func aRangeOfALargeFile() async throws {
        try await with { (_, session) async throws in
            let content = bytes(3_000_000)
            _ = try await session.request(.PUT, "/v1/data/f", body: content)
            let get = try await session.request(.GET, "/v1/data/f", headers: [("Range", "bytes=1000000-2999998")])
            #expect(get.status == 206)
            #expect(get.body == Array(content[1_000_000...2_999_998]))
        }
    }

    @Test func conditionsOfReading() async throws {
        try await with { (_, session) async throws in
            let put = try await session.request(.PUT, "/v1/data/f", body: bytes(10))
            let tag = try #require(put.headers.first(name: "ETag"))
            let date = try #require(try await session.request(.HEAD, "/v1/data/f").headers.first(name: "Last-Modified"))
            let get = { (headers: [(String, String)]) async throws -> Int in
                try await session.request(.GET, "/v1/data/f", headers: headers).status
            }
            #expect(try await get([("If-None-Match", tag)]) == 304)
            #expect(try await get([("If-None-Match", "\"x\", \(tag)")]) == 304)
            #expect(try await get([("If-None-Match", "\"x\"")]) == 200)
            #expect(try await get([("If-Match", tag)]) == 200)
            #expect(try await get([("If-Match", "\"x\"")]) == 412)
            #expect(try await get([("If-Modified-Since", date)]) == 304)
            #expect(try await get([("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]) == 200)
            #expect(try await get([("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]) == 412)
            #expect(try await get([("Range", "bytes=0-1"), ("If-Range", tag)]) == 206)
            #expect(try await get([("Range", "bytes=0-1"), ("If-Range", "\"x\"")]) == 200)
        }
    }

    @Test func conditionsOfWriting() async throws {
        try await with { (_, session) async throws in
            let make = try await session.request(.PUT, "/v1/data/f", headers: [("If-None-Match", "*")], body: bytes(10))
            #expect(make.status == 201)
            #expect(try await session.request(.PUT, "/v1/data/f", headers: [("If-None-Match", "*")], body: bytes(11)).status == 412)
            #expect(try await session.request(.PUT, "/v1/data/g", headers: [("If-Match", "*")], body: bytes(11)).status == 412)
            let tag = try #require(make.headers.first(name: "ETag"))
            let change = try await session.request(.PUT, "/v1/data/f", headers: [("If-Match", tag)], body: bytes(12))
            #expect(change.status == 200)
            #expect(try await session.request(.PUT, "/v1/data/f", headers: [("If-Match", tag)], body: bytes(13)).status == 412)
            #expect(try await session.request(.GET, "/v1/data/f").body == bytes(12))
            #expect(try await session.request(.DELETE, "/v1/data/f", headers: [("If-Match", tag)]).status == 412)
        }
    }

    /// Of many that all expect the same old file one may win.
    @Test func oneOfManyConditionalWritesWins() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let first = try await fixture.open(user)
            let tag = try #require(try await first.request(.PUT, "/v1/data/f", body: [0]).headers.first(name: "ETag"))
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...8 {
                    group.addTask {
                        let session = try await fixture.open(user)
                        return try await session.request(.PUT, "/v1/data/f", headers: [("If-Match", tag)], body: [UInt8(number)]).status
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 200 }.count == 1)
            #expect(statuses.filter { $0 == 412 }.count == 7)
        }
    }

    @Test func digestsAreCheckedBeforeTheCommit() async throws {
        try await with { (_, session) async throws in
            let content = bytes(3_000_000)
            let right = Base64.encode(Array(SHA256.hash(data: content)))
            let right512 = Base64.encode(Array(SHA512.hash(data: content)))
            let wrong = Base64.encode(Array(SHA256.hash(data: [1])))
            let put = { (headers: [(String, String)]) async throws -> TestClient.Answer in
                try await session.request(.PUT, "/v1/data/f", headers: headers, body: content)
            }
            #expect(try await put([("Content-Digest", "sha-256=:\(wrong):")]).code == "digest-mismatch")
            #expect(try await put([("Repr-Digest", "sha-512=:\(right512):, sha-256=:\(wrong):")]).code == "digest-mismatch")
            #expect(try await put([("Content-Digest", "sha-256=x")]).code == "bad-request")
            #expect(try await session.request(.GET, "/v1/data/f").status == 404)
            #expect(try await put([("Content-Digest", "sha-256=:\(right):, md5=:AAAA:")]).status == 201)
            #expect(try await put([("Repr-Digest", "sha-512=:\(right512):")]).status == 200)
        }
    }

    @Test func aDigestIsSentToWhoWantsIt() async throws {
        try await with { (_, session) async throws in
            let content = bytes(5_000_000)
            _ = try await session.request(.PUT, "/v1/data/f", body: content)
            let expected = "sha-256=:\(Base64.encode(Array(SHA256.hash(data: content)))):"
            let requests: [(HTTPMethod, [(String, String)])] = [(.GET, []), (.HEAD, []), (.GET, [("Range", "bytes=5-9")])]
            for (method, headers) in requests {
                let answer = try await session.request(
                    method, "/v1/data/f", headers: headers + [("Want-Repr-Digest", "sha-512=3, sha-256=1")])
                #expect(answer.headers.first(name: "Repr-Digest") == expected)
            }
            for wish in ["sha-256=0", "md5=1", "sha-256", "&"] {
                let answer = try await session.request(.HEAD, "/v1/data/f", headers: [("Want-Repr-Digest", wish)])
                #expect(answer.status == 200)
                #expect(answer.headers.first(name: "Repr-Digest") == nil)
            }
        }
    }

    @Test func aCutUploadLeavesNothing() async throws {
        try await with { (fixture, session) async throws in
            _ = try await session.request(.PUT, "/v1/data/old", body: bytes(100))
            for chunked in [false, true] {
                for name in ["new", "old"] {
                    var head = HTTPRequestHead(version: .http1_1, method: .PUT, uri: "/v1/data/\(name)")
                    head.headers.add(contentsOf: session.headers)
                    head.headers.add(name: "Host", value: "localhost")
                    if chunked {
                        head.headers.add(name: "Transfer-Encoding", value: "chunked")
                    } else {
                        head.headers.add(name: "Content-Length", value: "4000000")
                    }
                    let cut = try await fixture.connectAgain(session)
                    try await cut.send(head, bytes(2_500_000), ends: false)
                    await cut.close()
                }
            }
            // Whatever the server still had to do with them is done when it has none of these connections any more.
            while fixture.server.connections.count > 1 { await Task.yield() }
            #expect(try await session.request(.GET, "/v1/data/new").status == 404)
            #expect(try await session.request(.GET, "/v1/data/old").body == bytes(100))
        }
    }

    @Test func continueIsSentOnlyForWhatIsTaken() async throws {
        try await with { (_, session) async throws in
            _ = try await session.request(.PUT, "/v1/data/f", body: bytes(10))
            let refused = try await session.request(
                .PUT, "/v1/data/f", headers: [("Expect", "100-continue"), ("If-None-Match", "*")], body: bytes(10))
            #expect(refused.status == 412)
        }
    }

    @Test(arguments: [
        "/v1/data/..", "/v1/data/a/../b", "/v1/data/%2e%2e/b", "/v1/data/a/%2E%2E", "/v1/data/.", "/v1/data//a", "/v1/data/a//b",
        "/v1/data/a%2Fb", "/v1/data/a%00b", "/v1/data/a%", "/v1/data/a%4", "/v1/data/a%zz",
        "/v1/data/" + String(repeating: "a", count: 256),
        "/v1/data/" + String(repeating: "a/", count: 2100) + "a",
    ])
    func pathTricksAreRefused(_ path: String) async throws {
        try await with { (_, session) async throws in
            for method in [HTTPMethod.GET, .PUT, .DELETE] {
                let answer = try await session.request(method, path, body: method == .PUT ? [1] : [])
                #expect(answer.status == 400, "\(method) \(answer.text)")
                #expect(answer.code == "bad-path")
            }
        }
    }

    @Test func namesAreBytes() async throws {
        try await with { (_, session) async throws in
            for name in ["%FF%FE", "a%20b", "%C3%A4", "%5Cx", "-rf", String(repeating: "a", count: 255), "a%25b", "%3F%23"] {
                #expect(try await session.request(.PUT, "/v1/data/n/\(name)", body: Array(name.utf8)).status == 201)
                #expect(try await session.request(.GET, "/v1/data/n/\(name)").text == name)
            }
            let entries = try await session.request(.GET, "/v1/data/n/").json["entries"]?.list ?? []
            #expect(entries.count == 8)
            #expect(entries.contains { $0["nameBytes"]?.text == Base64URL.encode([0xff, 0xfe]) })
        }
    }

    @Test func theServersOwnDirectoryIsNotThere() async throws {
        try await with { (_, session) async throws in
            #expect(try await session.request(.PUT, "/v1/data/.efs-server/x", body: [1]).status == 404)
            #expect(try await session.request(.GET, "/v1/data/.efs-server/").status == 404)
        }
    }

    @Test func listingsHavePages() async throws {
        try await with { (_, session) async throws in
            var names = Set<String>()
            for number in 0..<25 {
                names.insert("f\(number)")
                _ = try await session.request(.PUT, "/v1/data/d/f\(number)", body: bytes(number))
            }
            var seen: [String] = []
            var after = ""
            while true {
                let page = try await session.request(.GET, "/v1/data/d/?limit=10\(after)").json
                seen += (page["entries"]?.list ?? []).compactMap { $0["name"]?.text }
                guard let next = page["next"]?.text else { break }
                after = "&after=\(next)"
            }
            #expect(seen.count == 25)
            #expect(Set(seen) == names)
            #expect(try await session.request(.GET, "/v1/data/d/?limit=0").status == 400)
        }
    }

    @Test func deletingFilesAndTrees() async throws {
        try await with { (_, session) async throws in
            for path in ["t/a", "t/u/b", "t/u/v/c"] { _ = try await session.request(.PUT, "/v1/data/\(path)", body: [1]) }
            #expect(try await session.request(.DELETE, "/v1/data/t").code == "directory-not-empty")
            #expect(try await session.request(.DELETE, "/v1/data/t/a/").code == "not-a-directory")
            #expect(try await session.request(.DELETE, "/v1/data/t/a").status == 204)
            #expect(try await session.request(.DELETE, "/v1/data/t/a").status == 404)
            #expect(try await session.request(.DELETE, "/v1/data/t?recursive=true").status == 204)
            #expect(try await session.request(.GET, "/v1/data/t/").status == 404)
            #expect(try await session.request(.DELETE, "/v1/data/").status == 409)
        }
    }

    @Test func directoriesAreMade() async throws {
        try await with { (_, session) async throws in
            #expect(try await session.request(.PUT, "/v1/data/p/q/").status == 201)
            #expect(try await session.request(.PUT, "/v1/data/p/q/").status == 200)
            #expect(try await session.request(.PUT, "/v1/data/p/q/", body: [1]).status == 400)
            #expect(try await session.request(.PUT, "/v1/data/p/q", body: [1]).code == "not-a-file")
            _ = try await session.request(.PUT, "/v1/data/f", body: [1])
            #expect(try await session.request(.PUT, "/v1/data/f/g", body: [1]).code == "not-a-directory")
            #expect(try await session.request(.GET, "/v1/data/f/").code == "not-a-directory")
        }
    }

    @Test func timesAndModesAreKept() async throws {
        try await with { (_, session) async throws in
            let headers = [("Efs-Modified", "1000000000.123"), ("Efs-Mode", "640")]
            _ = try await session.request(.PUT, "/v1/data/f", headers: headers, body: [1])
            let head = try await session.request(.HEAD, "/v1/data/f")
            #expect(head.headers.first(name: "Efs-Modified") == "1000000000.123000000")
            #expect(head.headers.first(name: "Efs-Mode") == "640")
            #expect(head.headers.first(name: "Last-Modified") == "Sun, 09 Sep 2001 01:46:40 GMT")
            _ = try await session.request(.PUT, "/v1/data/f", body: [2])
            #expect(try await session.request(.HEAD, "/v1/data/f").headers.first(name: "Efs-Mode") == "640")
            #expect(try await session.request(.PUT, "/v1/data/f", headers: [("Efs-Mode", "9")], body: [2]).status == 400)
        }
    }

    @Test func rightsCountByTheLongestPrefix() async throws {
        let grants = [Grant(prefix: "/", rights: "rl"), Grant(prefix: "/in", rights: "w"), Grant(prefix: "/in/no", rights: "")]
        try await with(grants: grants) { (_, session) async throws in
            #expect(try await session.request(.PUT, "/v1/data/x", body: [1]).code == "forbidden")
            #expect(try await session.request(.PUT, "/v1/data/inside", body: [1]).code == "forbidden")
            #expect(try await session.request(.PUT, "/v1/data/in/x", body: [1]).status == 201)
            #expect(try await session.request(.GET, "/v1/data/in/x").code == "forbidden")
            #expect(try await session.request(.DELETE, "/v1/data/in/x").code == "forbidden")
            #expect(try await session.request(.PUT, "/v1/data/in/no/x", body: [1]).code == "forbidden")
            #expect(try await session.request(.GET, "/v1/data/").status == 200)
            #expect(try await session.request(.GET, "/v1/data/nothing").status == 404)
            #expect(try await session.request(.GET, "/v1/data/in/nothing").code == "forbidden")
        }
    }

    @Test func aBodyThatIsTooLargeIsRefused() async throws {
        try await with({ $0.maximumBodyBytes = 1000 }) { (fixture, session) async throws in
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(1000)).status == 201)
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(1001)).status == 413)
            let again = try await fixture.connectAgain(session)
            let chunked = try await again.request(
                .PUT, "/v1/data/g", headers: session.headers + [("Transfer-Encoding", "chunked")], body: bytes(1001))
            #expect(chunked.status == 413)
        }
    }

    @Test func aUserWhoAsksTooOftenIsSlowedDown() async throws {
        try await with({ $0.requestsPerSecond = 5 }) { (fixture, session) async throws in
            // A burst of twice as many as a second has.
            for round in 0..<12 {
                let answer = try await session.request(.GET, "/v1/data/")
                #expect(answer.status == (round < 10 ? 200 : 429))
                if answer.status == 429 { #expect(answer.headers.first(name: "Retry-After") == "1") }
            }
            fixture.clock.advance(1)
            for round in 0..<6 { #expect(try await session.request(.GET, "/v1/data/").status == (round < 5 ? 200 : 429)) }
        }
    }

    /// Readers see one of the contents, never a mixture.
    @Test func readersSeeOldOrNew() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let writer = try await fixture.open(user)
            let size = 700_000
            _ = try await writer.request(.PUT, "/v1/data/f", body: [UInt8](repeating: 0, count: size))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        let reader = try await fixture.open(user)
                        for _ in 0..<20 {
                            let body = try await reader.request(.GET, "/v1/data/f").body
                            #expect(body.count == size)
                            #expect(body.allSatisfy { $0 == body[0] })
                        }
                    }
                }
                for value in 1...20 {
                    _ = try await writer.request(.PUT, "/v1/data/f", body: [UInt8](repeating: UInt8(value), count: size))
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func whatWasAcknowledgedIsThereAfterAnotherStart() async throws {
        let root = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let user = try await ServerFixture.with(root: root, starterKey: key, keepsRoot: true) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(5000)).status == 201)
            return user
        }
        try await ServerFixture.with(root: root, starterKey: key) { (fixture) async throws in
            #expect(try await fixture.open(user).request(.GET, "/v1/data/f").body == bytes(5000))
        }
    }
}
