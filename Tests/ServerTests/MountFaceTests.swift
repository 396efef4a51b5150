import Glibc
import LinuxTesting
import NIOHTTP1
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import Server

/// A volume with two faces in one process: a real mount, and HTTPS over TLS.
@Suite(.serialized) struct MountFaceTests {
    /// Runs `body` with a mount point, and a session of a user who may do everything.
    private func with(_ body: @Sendable (ServerFixture, TestSession, String) async throws -> Void) async throws {
        let directory = try ServerFixture.makeDirectory()
        defer { rmdir(directory) }
        try await ServerFixture.with({ $0.mounts = [("data", directory)] }) { (fixture) async throws in
            _ = try await fixture.server.createFileSystem("data")
            try await body(fixture, try await fixture.open(try await fixture.makeUser("app1")), directory)
        }
        #expect(try names(in: directory).count == 2, "the mount ended with the server")
    }

    private func bytes(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) } }

    private func errno(_ body: () throws(Errno) -> Void) -> Errno? {
        do throws(Errno) { try body() } catch { return error }
        return nil
    }

    // MARK: HTTPS, seen in the mount

    @Test(.timeLimit(.minutes(2)), arguments: [10, 5000, 3_000_000]) func whatIsPutIsInTheMount(_ size: Int) async throws {
        try await with { (_, session, mount) async throws in
            // The kernel remembers that there is no such file, what the directory holds, and its times.
            #expect(errno { () throws(Errno) in _ = try status(mount + "/f") } == .noSuchFileOrDirectory)
            #expect(try names(in: mount).count == 2)
            let before = try status(mount).st_mtim
            #expect(try await session.request(.PUT, "/v1/data/f", headers: [("Efs-Mode", "640")], body: bytes(size)).status == 201)
            #expect(try status(mount + "/f").st_size == off_t(size))
            #expect(try status(mount + "/f").st_mode & 0o777 == 0o640)
            #expect(try readFile(mount + "/f") == bytes(size))
            #expect(try names(in: mount).contains("f"))
            let after = try status(mount).st_mtim
            #expect((before.tv_sec, before.tv_nsec) < (after.tv_sec, after.tv_nsec))
        }
    }

    @Test(.timeLimit(.minutes(2))) func replacingLeavesTheOldContentToWhoHasItOpen() async throws {
        try await with { (_, session, mount) async throws in
            try writeFile(mount + "/f", bytes(200_000, 1))
            let old = try openFile(mount + "/f", O_RDONLY)
            var start = [UInt8](repeating: 0, count: 1000)
            _ = try start.withMutableBytes { (buffer) throws(Errno) in try old.read(at: 0, into: buffer) }
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(150_000, 2)).status == 200)
            #expect(try readFile(mount + "/f") == bytes(150_000, 2))
            var whole = [UInt8](repeating: 0, count: 200_000)
            #expect(try whole.withMutableBytes { (buffer) throws(Errno) in try old.read(at: 0, into: buffer) } == 200_000)
            #expect(whole == bytes(200_000, 1))
            #expect(try old.status().st_nlink == 0)
            #expect(try old.status().st_ino != status(mount + "/f").st_ino)
        }
    }

    @Test(.timeLimit(.minutes(2))) func deletingMovingAndMakingDirectories() async throws {
        try await with { (_, session, mount) async throws in
            for name in ["a", "b", "c"] { try writeFile(mount + "/" + name, bytes(5000)) }
            #expect(try names(in: mount).sorted() == [".", "..", "a", "b", "c"])
            #expect(try await session.request(.DELETE, "/v1/data/a").status == 204)
            #expect(errno { () throws(Errno) in _ = try status(mount + "/a") } == .noSuchFileOrDirectory)
            #expect(try names(in: mount).sorted() == [".", "..", "b", "c"])

            #expect(errno { () throws(Errno) in _ = try status(mount + "/d/e") } == .noSuchFileOrDirectory)
            let links = try status(mount).st_nlink
            let move = Array(#"{"from":"/b","to":"/d/e/b2"}"#.utf8)
            #expect(try await session.request(.POST, "/v1/move", body: move).status == 201)
            #expect(try readFile(mount + "/d/e/b2") == bytes(5000))
            #expect(errno { () throws(Errno) in _ = try status(mount + "/b") } == .noSuchFileOrDirectory)
            #expect(try names(in: mount).sorted() == [".", "..", "c", "d"])
            #expect(try status(mount).st_nlink == links + 1)

            // A directory that the mount has seen, with all that it caches below it.
            let moveDirectory = Array(#"{"from":"/d","to":"/z"}"#.utf8)
            #expect(try await session.request(.POST, "/v1/move", body: moveDirectory).status == 201)
            #expect(try readFile(mount + "/z/e/b2") == bytes(5000))
            #expect(errno { () throws(Errno) in _ = try status(mount + "/d") } == .noSuchFileOrDirectory)

            // Over a file that the mount has open.
            let open = try openFile(mount + "/c", O_RDONLY)
            let replace = Array(#"{"from":"/z/e/b2","to":"/c","overwrite":true}"#.utf8)
            #expect(try await session.request(.POST, "/v1/move", body: replace).status == 200)
            #expect(try open.status().st_nlink == 0)
            #expect(try names(in: mount + "/z/e").count == 2)
            #expect(try await session.request(.PUT, "/v1/data/z/new/").status == 201)
            #expect(try names(in: mount + "/z").sorted() == [".", "..", "e", "new"])
            #expect(try await session.request(.DELETE, "/v1/data/z?recursive=true").status == 204)
            #expect(try names(in: mount).sorted() == [".", "..", "c"])
        }
    }

    @Test(.timeLimit(.minutes(2))) func changedMetadataAndCopiesAreSeen() async throws {
        try await with { (_, session, mount) async throws in
            try writeFile(mount + "/f", bytes(5000))
            #expect(try status(mount + "/f").st_mode & 0o777 == 0o644)
            let change = Array(#"{"modified":1000000000,"modifiedNanoseconds":5,"mode":384}"#.utf8)
            #expect(try await session.request(.PATCH, "/v1/metadata/f", body: change).status == 200)
            let now = try status(mount + "/f")
            #expect(now.st_mode & 0o777 == 0o600)
            #expect(now.st_mtim.tv_sec == 1_000_000_000 && now.st_mtim.tv_nsec == 5)
            let copy = Array(#"{"from":"/f","to":"/g"}"#.utf8)
            #expect(try names(in: mount).count == 3)
            #expect(try await session.request(.POST, "/v1/copy", body: copy).status == 201)
            #expect(try readFile(mount + "/g") == bytes(5000))
            #expect(try names(in: mount).count == 4)
        }
    }

    @Test(.timeLimit(.minutes(2))) func uploadsInPartsComeWholeAndAreHiddenBefore() async throws {
        try await with { (_, session, mount) async throws in
            let path = Base64.encode(Array("/up".utf8))
            let tus = [("Tus-Resumable", "1.0.0"), ("Upload-Length", "5000"), ("Upload-Metadata", "path \(path)")]
            #expect(errno { () throws(Errno) in _ = try status(mount + "/up") } == .noSuchFileOrDirectory)
            let made = try await session.request(.POST, "/v1/uploads", headers: tus)
            #expect(made.status == 201)
            // The server's own directory is there, and not for the mount's users.
            #expect(try names(in: mount).count == 2)
            #expect(errno { () throws(Errno) in _ = try status(mount + "/.efs-server") } == .noSuchFileOrDirectory)
            #expect(mkdir(mount + "/.efs-server", 0o755) == -1 && Glibc.errno == EPERM)
            let part = [("Tus-Resumable", "1.0.0"), ("Upload-Offset", "0"), ("Content-Type", "application/offset+octet-stream")]
            let place = made.headers.first(name: "Location") ?? ""
            #expect(try await session.request(.PATCH, place, headers: part, body: bytes(5000)).status == 204)
            #expect(try readFile(mount + "/up") == bytes(5000))
        }
    }

    // MARK: The mount, seen over HTTPS

    @Test(.timeLimit(.minutes(2)), arguments: [10, 5000, 3_000_000]) func whatIsWrittenInTheMountIsGot(_ size: Int) async throws {
        try await with { (_, session, mount) async throws in
            #expect(try await session.request(.GET, "/v1/data/f").status == 404)
            let file = try openFile(mount + "/f", O_CREAT | O_RDWR)
            try bytes(size).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            // Open, and nothing was synced: all of it may be in the kernel alone.
            let first = try await session.request(.GET, "/v1/data/f")
            #expect(first.body == bytes(size))
            #expect(first.status == 200)
            // Once more in the middle: the decrypted cache has what was there before.
            try [UInt8(200), 201].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: UInt64(size / 2)) }
            var changed = bytes(size)
            changed[size / 2] = 200
            changed[size / 2 + 1] = 201
            let second = try await session.request(.GET, "/v1/data/f")
            #expect(second.body == changed)
            #expect(second.headers.first(name: "ETag") != first.headers.first(name: "ETag"))
            // Sizes in listings, metadata and heads.
            try bytes(100, 7).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: UInt64(size)) }
            let list = try await session.request(.GET, "/v1/data/")
            #expect(list.json["entries"]?.list.first?["size"]?.number == Double(size + 100))
            try bytes(100, 7).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: UInt64(size + 100)) }
            #expect(
                try await session.request(.HEAD, "/v1/data/f").headers.first(name: "Content-Length") == String(size + 200))
            try file.truncate(to: 3)
            #expect(try await session.request(.GET, "/v1/data/f").body == Array(changed.prefix(3)))
        }
    }

    @Test(.timeLimit(.minutes(2))) func mappedBytesAreGotAlsoWhenTheDescriptorIsClosed() async throws {
        try await with { (_, session, mount) async throws in
            try writeFile(mount + "/f", bytes(100_000))
            let memory = try {
                let file = try openFile(mount + "/f", O_RDWR)
                return UInt(bitPattern: mmap(nil, 100_000, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0))
            }()
            for value in [UInt8(7), 9] {
                UnsafeMutableRawPointer(bitPattern: memory)!.storeBytes(of: value, toByteOffset: 50_000, as: UInt8.self)
                let got = try await session.request(.GET, "/v1/data/f")
                #expect(got.body.count == 100_000)
                #expect(got.body[50_000] == value)
            }
            munmap(UnsafeMutableRawPointer(bitPattern: memory)!, 100_000)
        }
    }

    @Test(.timeLimit(.minutes(2))) func namesThatTheMountChangesAreSeen() async throws {
        try await with { (_, session, mount) async throws in
            _ = try await session.request(.PUT, "/v1/data/a", body: bytes(5000))
            #expect(rename(mount + "/a", mount + "/b") == 0)
            #expect(try await session.request(.GET, "/v1/data/a").status == 404)
            #expect(try await session.request(.GET, "/v1/data/b").body == bytes(5000))
            #expect(mkdir(mount + "/d", 0o755) == 0)
            #expect(link(mount + "/b", mount + "/d/c") == 0)
            #expect(unlink(mount + "/b") == 0)
            #expect(try await session.request(.GET, "/v1/data/b").status == 404)
            #expect(try await session.request(.GET, "/v1/data/d/c").body == bytes(5000))
            #expect(symlink("c", mount + "/d/l") == 0)
            #expect(try await session.request(.GET, "/v1/metadata/d/l").json["target"]?.text == "c")
            #expect(rename(mount + "/d", mount + "/e") == 0)
            let list = try await session.request(.GET, "/v1/data/e/")
            #expect(list.json["entries"]?.list.compactMap { $0["name"]?.text }.sorted() == ["c", "l"])
        }
    }

    /// A condition holds for what was written in the mount, too, written back or not.
    @Test(.timeLimit(.minutes(2))) func conditionsKnowOfUnwrittenBytes() async throws {
        try await with { (_, session, mount) async throws in
            let file = try openFile(mount + "/f", O_CREAT | O_RDWR)
            try bytes(5000).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            let tag = try await session.request(.GET, "/v1/data/f").headers.first(name: "ETag") ?? ""
            try bytes(10).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 100) }
            #expect(try await session.request(.PUT, "/v1/data/f", headers: [("If-Match", tag)], body: bytes(9)).status == 412)
            try bytes(10, 3).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 100) }
            #expect(try await session.request(.DELETE, "/v1/data/f", headers: [("If-Match", tag)]).status == 412)
            #expect(try await session.request(.HEAD, "/v1/data/f").headers.first(name: "Content-Length") == "5000")
        }
    }

    // MARK: Both at once

    /// One face replaces files while the other renames over them, makes and deletes them. In the end both show the same, to the byte.
    @Test(.timeLimit(.minutes(4))) func twoFacesWriteAtOnce() async throws {
        try await with { (fixture, session, mount) async throws in
            let isDone = Atomic<Bool>(false)
            let failures = Mutex<[String]>([])
            let writer = WorkerThread(name: "mount-writer") {
                var random = SystemRandomNumberGenerator()
                while !isDone.load(ordering: .relaxed) {
                    let (from, to) = (
                        mount + "/n\(Int.random(in: 0..<6, using: &random))", mount + "/n\(Int.random(in: 0..<6, using: &random))"
                    )
                    let result: CInt
                    switch Int.random(in: 0..<5, using: &random) {
                    case 0: result = unlink(from)
                    case 1: result = rename(from, to)
                    case 2: result = renameat2(from, to, 2)
                    default:
                        let size = Int.random(in: 1..<20_000, using: &random)
                        do throws(Errno) { try writeFile(from, [UInt8](repeating: UInt8(size % 251), count: size)) } catch {
                            failures.withLock { $0.append("write: \(error)") }
                        }
                        result = 0
                    }
                    if result != 0, Glibc.errno != ENOENT { failures.withLock { $0.append("errno \(Glibc.errno)") } }
                }
            }
            var random = SystemRandomNumberGenerator()
            for _ in 0..<400 {
                let path = "/v1/data/n\(Int.random(in: 0..<6, using: &random))"
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    let status = try await session.request(.DELETE, path).status
                    #expect([204, 404].contains(status))
                case 1:
                    // Whole: of one writer, from one moment.
                    let got = try await session.request(.GET, path)
                    #expect([200, 404, 409].contains(got.status))
                    if got.status == 200, let first = got.body.first { #expect(got.body.allSatisfy { $0 == first || $0 == 0 }) }
                default:
                    let size = Int.random(in: 1..<20_000, using: &random)
                    let status = try await session.request(.PUT, path, body: [UInt8](repeating: UInt8(size % 251), count: size)).status
                    #expect([200, 201].contains(status))
                }
            }
            isDone.store(true, ordering: .relaxed)
            writer.join()
            #expect(failures.withLock { $0 } == [])
            let list = try await session.request(.GET, "/v1/data/")
            let remote = list.json["entries"]?.list.compactMap { $0["name"]?.text } ?? []
            #expect(try names(in: mount).filter { $0 != "." && $0 != ".." }.sorted() == remote.sorted())
            for index in 0..<6 {
                let got = try await session.request(.GET, "/v1/data/n\(index)")
                let path = mount + "/n\(index)"
                if got.status == 404 {
                    #expect(errno { () throws(Errno) in _ = try status(path) } == .noSuchFileOrDirectory)
                } else {
                    #expect(try readFile(path) == got.body)
                    #expect(try status(path).st_size == off_t(got.body.count))
                }
            }
        }
    }

    // MARK: Beginning and end

    @Test(.timeLimit(.minutes(2))) func sealingKeepsWhatTheKernelHeldAndUnsealingMountsAgain() async throws {
        try await with { (fixture, session, mount) async throws in
            let file = try openFile(mount + "/f", O_CREAT | O_RDWR)
            try bytes(100_000).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            // In use: it ends all the same.
            await fixture.server.seal(reason: "test")
            #expect(try names(in: mount).count == 2)
            try await fixture.server.unseal(fixture.starterKey)
            #expect(try readFile(mount + "/f") == bytes(100_000))
            _ = consume file
        }
    }

    @Test(.timeLimit(.minutes(2))) func aMountThatSomebodyEndsLeavesHTTPS() async throws {
        try await with { (fixture, session, mount) async throws in
            try writeFile(mount + "/f", bytes(5000))
            #expect(try shell("umount '\(mount)' || fusermount3 -u '\(mount)'", in: "/").status == 0)
            #expect(try await session.request(.GET, "/v1/data/f").body == bytes(5000))
            #expect(try await session.request(.PUT, "/v1/data/f", body: bytes(60)).status == 200)
            #expect(try names(in: mount).count == 2)
        }
    }

    @Test func mountPointsThatCannotBe() async throws {
        let directory = try ServerFixture.makeDirectory()
        defer { rmdir(directory) }
        let root = try ServerFixture.makeDirectory()
        for (mounts, kind, text) in [
            ([("data", directory + "/none")], FailureKind.missing, "does not exist"),
            ([("data", "/etc/passwd")], .usage, "not a directory"),
            ([("data", "/proc")], .busy, "mounted there already"),
            ([("data", root)], .usage, "lie in each other"),
            ([("data", directory), ("data", directory)], .usage, "twice"),
            ([("data", directory), ("other", directory)], .usage, "two file systems"),
            ([("a b", directory)], .usage, "no name"),
        ] {
            do {
                try await ServerFixture.with(root: root, keepsRoot: true, { $0.mounts = mounts }) { (_) in }
                Issue.record("it started with \(mounts)")
            } catch let failure as Failure {
                #expect(failure.kind == kind)
                #expect(failure.description.contains(text), "\(failure)")
            }
        }
        _ = try shell("rm -rf '\(root)' '\(root).state'", in: "/")
    }
}
