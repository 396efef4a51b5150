import FoundationEssentials
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Server

/// Copies of a server that goes on.
@Suite struct BackupTests {
    private func content(_ number: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 4 == 0 ? 300_000 : 1500)
    }

    /// Files are written all the time; what was acknowledged before the backup is in it, and what is in it is whole.
    @Test func aBackupServesWhatWasAcknowledged() async throws {
        let base = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let acknowledged = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        let (user, before) = try await ServerFixture.with(starterKey: key) { (fixture) async throws -> (ServerFixture.TestUser, Int) in
            _ = try await fixture.server.createFileSystem("data")
            _ = try await fixture.server.createFileSystem("other")
            let user = try await fixture.makeUser("app1")
            let writer = try await fixture.open(user)
            return try await withThrowingTaskGroup(of: Void.self) { group -> (ServerFixture.TestUser, Int) in
                group.addTask {
                    var number = 0
                    while !isOver.load(ordering: .acquiring) {
                        let put = try await writer.request(.PUT, "/v1/data/d\(number % 5)/f\(number)", body: content(number))
                        #expect(put.status == 201)
                        // A file that is replaced again and again, too.
                        _ = try await writer.request(.PUT, "/v1/data/last", body: content(number))
                        number += 1
                        acknowledged.store(number, ordering: .releasing)
                    }
                }
                while acknowledged.load(ordering: .acquiring) < 30 { await Task.yield() }
                let before = acknowledged.load(ordering: .acquiring)
                let lines = try await fixture.server.backUp(to: base + "/backup", fileSystem: nil)
                #expect(lines.last == "Backup complete: '\(base)/backup'")
                let after = acknowledged.load(ordering: .acquiring)
                while acknowledged.load(ordering: .acquiring) < after + 5 { await Task.yield() }
                isOver.store(true, ordering: .releasing)
                try await group.waitForAll()
                return (user, before)
            }
        }
        #expect(try Self.plainSecrets(base + "/backup") == [])
        try await ServerFixture.with(root: base + "/backup", starterKey: key) { (fixture) async throws in
            let session = try await fixture.open(user)
            for number in 0..<before {
                let get = try await session.request(.GET, "/v1/data/d\(number % 5)/f\(number)")
                #expect(get.body == content(number))
            }
            let last = try await session.request(.GET, "/v1/data/last").body
            #expect(!last.isEmpty && last.allSatisfy { $0 == last[0] })
            #expect(try await session.request(.PUT, "/v1/data/more", body: [1]).status == 201)
            #expect(try fixture.server.requireInstance().allFileSystems.map(\.name) == ["data", "other"])
        }
        try FileManager.default.removeItem(atPath: base)
    }

    /// Files that hold a private key that nothing seals.
    private static func plainSecrets(_ path: String) throws -> [String] {
        var found: [String] = []
        for name in try ServerFiles.names(in: path) {
            let file = "\(path)/\(name)"
            if ServerFiles.isDirectory(file) {
                found += try plainSecrets(file)
            } else if let bytes = try? ServerFiles.read(file), String(decoding: bytes, as: UTF8.self).contains("PRIVATE KEY") {
                found.append(file)
            }
        }
        return found
    }

    @Test func oneFileSystemByItself() async throws {
        let base = try ServerFixture.makeDirectory()
        try await ServerFixture.with { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            _ = try await fixture.server.createFileSystem("other")
            _ = try await fixture.server.backUp(to: base + "/one", fileSystem: "other")
            #expect(try ServerFiles.names(in: base + "/one") == ["other", "server"])
            #expect(try ServerFiles.names(in: base) == ["one"])
            let backUp = { (directory: String, name: String?) async -> FailureKind? in
                do throws(Failure) {
                    _ = try await fixture.server.backUp(to: directory, fileSystem: name)
                    return nil
                } catch { return error.kind }
            }
            #expect(await backUp(base + "/one", nil) == .alreadyExists)
            #expect(await backUp(base + "/two", "nothing") == .missing)
            #expect(await backUp("relative", nil) == .usage)
            #expect(await backUp(fixture.root + "/inside", nil) == .usage)
            #expect(await backUp(base + "/no/such/place", nil) == .missing)
            await fixture.server.seal(reason: "test")
            #expect(await backUp(base + "/two", nil) == .busy)
        }
        try FileManager.default.removeItem(atPath: base)
    }

    /// On the machine that has seen what came later, a backup is opened only when that is asked for.
    @Test func aRestoredBackupHasToBeAccepted() async throws {
        let base = try ServerFixture.makeDirectory()
        let key = SecretBytes.random(count: 32)
        let state = base + "/state"
        try ServerFiles.makeDirectory(state)
        let user = try await ServerFixture.with(starterKey: key, { $0.stateDirectory = state }) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            let user = try await fixture.makeUser("app1")
            let session = try await fixture.open(user)
            #expect(try await session.request(.PUT, "/v1/data/f", body: [1]).status == 201)
            _ = try await fixture.server.backUp(to: base + "/backup", fileSystem: nil)
            #expect(try await session.request(.PUT, "/v1/data/g", body: [1]).status == 201)
            return user
        }
        try await ServerFixture.with(
            root: base + "/backup", starterKey: key, keepsRoot: true, { $0.stateDirectory = state }
        ) { (fixture) async throws in
            #expect(try fixture.server.requireInstance().failures.withLock { $0 }.keys.sorted() == ["data"])
        }
        try await ServerFixture.with(
            root: base + "/backup", starterKey: key,
            {
                $0.stateDirectory = state
                $0.acceptsRollback = ["data"]
            }
        ) { (fixture) async throws in
            let session = try await fixture.open(user)
            #expect(try await session.request(.GET, "/v1/data/f").body == [1])
            #expect(try await session.request(.GET, "/v1/data/g").status == 404)
        }
        try FileManager.default.removeItem(atPath: base)
    }
}
