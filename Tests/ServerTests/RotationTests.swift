import FoundationEssentials
import Logging
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Server

/// New keys in the place of old ones.
@Suite struct RotationTests {
    // MARK: Token key

    @Test func tokensOfTheKeyBeforeAreGoodUntilTheyEnd() async throws {
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let (first, second) = (try await fixture.open(user), try await fixture.open(user))
            _ = try await fixture.server.rotateTokenKey()
            #expect(try await first.request(.GET, "/v1/data/").status == 200)
            var renewed = first
            let answer = try await first.request(.POST, "/v1/auth/renew")
            #expect(answer.status == 201)
            renewed.token = try #require(answer.json["session"]?.text)
            #expect(Self.keyOf(renewed.token) != Self.keyOf(first.token))
            #expect(Self.keyOf(try await fixture.open(user).token) == Self.keyOf(renewed.token))
            #expect(try await renewed.request(.GET, "/v1/data/").status == 200)
            // The retired token is still known for what it is, by the key before.
            #expect(try await first.request(.GET, "/v1/data/").code == "session-ended")
            // Once tokens of that key have ended it verifies nothing.
            fixture.clock.advance(3601)
            #expect(try await second.request(.GET, "/v1/data/").code == "session-expired")
            #expect(try await first.request(.GET, "/v1/data/").code == "authentication-required")
        }
    }

    private static func keyOf(_ token: String) -> String? {
        let header = token.split(separator: ".").first.flatMap { Base64URL.decode(String($0)) } ?? []
        return (try? JSONDecoder().decode(JSONValue.self, from: Data(header)))?["kid"]?.text
    }

    // MARK: Starter key

    /// What a server opens with a starter key, in a process of its own for all it knows.
    private static func open(_ root: String, _ key: SecretBytes, _ body: (Instance) throws -> Void = { _ in }) async throws {
        var options = ServerOptions()
        options.root = root
        options.stateDirectory = root + ".state"
        try ServerFiles.makeDirectory(root + ".state")
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let server = try ServerCore(options: options, logger: logger)
        do {
            try await server.unseal(key)
            try body(try server.requireInstance())
        } catch {
            await server.seal(reason: "test", isFinal: true)
            await server.threads.stop()
            server.releaseRoot()
            throw error
        }
        await server.seal(reason: "test", isFinal: true)
        await server.threads.stop()
        server.releaseRoot()
    }

    /// Killed after any step, the server opens with one of the two keys, whole, and says of the other that it is not the one.
    @Test func aChangeOfTheStarterKeyIsDoneOrNotDone() async throws {
        let base = try ServerFixture.makeDirectory()
        let (old, new) = (SecretBytes.random(count: 32), SecretBytes.random(count: 32))
        let copies = Mutex<[(path: String, step: String)]>([])
        try await ServerFixture.with(starterKey: old) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let session = try await fixture.open(try await fixture.makeUser("app1"))
            #expect(try await session.request(.PUT, "/v1/data/f", body: [1, 2, 3]).status == 201)
            _ = try await fixture.server.rotateStarterKey(to: new) { step in
                copies.withLock { copies in
                    let path = "\(base)/\(copies.count)"
                    do { try fixture.copyRoot(to: path) } catch { Issue.record(error) }
                    copies.append((path, step))
                }
            }
            // It goes on as before.
            #expect(try await session.request(.PUT, "/v1/data/g", body: [4]).status == 201)
            _ = try await fixture.makeUser("app2")
            try fixture.copyRoot(to: base + "/end")
        }
        var isDecided = false
        let all = copies.withLock { $0 }
        #expect(all.count > 10)
        for (path, step) in all {
            if step == "deciding" { isDecided = true }
            let (right, wrong) = isDecided ? (new, old) : (old, new)
            let failure = await #expect(throws: Failure.self, "\(step)") { try await Self.open(path, wrong) }
            #expect(failure?.kind == .wrongPassword, "\(step)")
            #expect(failure?.hint?.contains("starter key \(StarterKey.identifier(of: right))") == true, "\(step): \(failure?.hint ?? "")")
            try await Self.open(path, right) { instance in
                #expect(instance.failures.withLock { $0 } == [:], "\(step)")
                #expect(instance.users.all.map(\.name) == ["app1"], "\(step)")
                let fileSystem = try #require(instance.fileSystem("data"))
                #expect(try fileSystem.find(try RequestPath.parse(text: "/f")).sizeBytes == 3, "\(step)")
            }
            #expect(try Self.leftovers(path) == [], "\(step)")
        }
        #expect(isDecided)
        try await Self.open(base + "/end", new) { instance in
            #expect(instance.users.all.map(\.name) == ["app1", "app2"])
            #expect(try #require(instance.fileSystem("data")).find(try RequestPath.parse(text: "/g")).sizeBytes == 1)
        }
        try FileManager.default.removeItem(atPath: base)
    }

    private static func leftovers(_ path: String) throws -> [String] {
        var found: [String] = []
        for name in try ServerFiles.names(in: path) {
            if ServerFiles.isDirectory("\(path)/\(name)") { found += try leftovers("\(path)/\(name)") }
            if name.hasSuffix(".next") || name == "rotation" { found.append("\(path)/\(name)") }
        }
        return found
    }

    /// What does not open under the old key cannot be sealed under a new one: nothing is changed then.
    @Test func aDamagedKeyKeepsTheOldStarterKey() async throws {
        let (old, new) = (SecretBytes.random(count: 32), SecretBytes.random(count: 32))
        try await ServerFixture.with(starterKey: old) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let path = fixture.root + "/data/system/filename-salt"
            var bytes = try #require(try ServerFiles.read(path))
            bytes[bytes.count - 1] ^= 1
            try ServerFiles.replace(path, with: bytes)
            let failure = await #expect(throws: Failure.self) { try await fixture.server.rotateStarterKey(to: new) }
            #expect(failure?.object == path)
            #expect(try Self.leftovers(fixture.root) == [])
            await #expect(throws: Failure.self) { try await fixture.server.rotateStarterKey(to: old) }
            await fixture.server.seal(reason: "test")
            let wrong = await #expect(throws: Failure.self) { try await fixture.server.unseal(new) }
            #expect(wrong?.kind == .wrongPassword)
            try await fixture.server.unseal(old)
            #expect(try fixture.server.requireInstance().failures.withLock { $0 }.keys.sorted() == ["data"])
        }
    }

    @Test func anotherProcessDoesNotGetTheRoot() async throws {
        try await ServerFixture.with { (fixture) async throws in
            var options = ServerOptions()
            options.root = fixture.root
            let failure = #expect(throws: Failure.self) { try ServerCore(options: options, logger: Logger(label: "test")) }
            #expect(failure?.kind == .busy)
        }
    }
}
