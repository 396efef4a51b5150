import Client
import FileSystem
import Foundation
import KeyManagement
import NIOCore
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Transfer

@Suite struct CopierTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    private func put(_ text: String, _ name: String, time: TimeInterval? = nil) throws {
        let url = URL(fileURLWithPath: path(name))
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: url, atomically: false, encoding: .utf8)
        if let time {
            try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: time)], ofItemAtPath: url.path)
        }
    }

    /// The files below, with their contents.
    private func tree(_ name: String) -> [String: String] {
        var found: [String: String] = [:]
        for file in FileManager.default.enumerator(atPath: path(name))?.allObjects as? [String] ?? [] {
            if let text = try? String(contentsOfFile: path(name) + "/" + file, encoding: .utf8) { found[file] = text }
        }
        return found
    }

    private func copy(_ from: some Tree, _ to: some Tree, _ change: (inout CopyOptions) -> Void = { _ in }) async throws -> CopySummary {
        var options = CopyOptions()
        options.isRecursive = true
        change(&options)
        return try await Copier(from, to, options) { _ in }.copy(.root, to: .root)
    }

    private func makeVolume() throws -> VolumeTree {
        let password = Array("secret".utf8).withBytes { SecretBytes(copying: $0) }
        let place = path("vault")
        var options = VolumeOptions()
        options.stateDirectory = path("state")
        try Volume.create(at: place, suite: .aes256Gcm, password: password, cost: .minimum, options: options)
        return VolumeTree(try Volume.open(at: place, password: password, options: options))
    }

    @Test func syncMakesTheTargetLikeTheSource() async throws {
        try put("one", "a/1.txt", time: 1_700_000_000)
        try put("two", "a/sub/2.txt", time: 1_700_000_001)
        try put("old", "b/old.txt")
        try put("old", "b/gone/deep.txt")
        try put("other content of the same name", "b/1.txt")
        let (a, b) = (LocalTree(path("a")), LocalTree(path("b")))

        var summary = try await copy(a, b) {
            $0.isSync = true; $0.isDryRun = true
        }
        #expect(summary.copiedFiles == 2 && summary.removed == 2 && tree("b")["old.txt"] == "old")
        summary = try await copy(a, b) {
            $0.isSync = true; $0.keepsExtra = true
        }
        #expect(summary.copiedFiles == 2 && summary.removed == 0 && tree("b")["old.txt"] == "old" && tree("b")["1.txt"] == "one")
        summary = try await copy(a, b) { $0.isSync = true }
        #expect(summary.copiedFiles == 0 && summary.unchangedFiles == 2 && summary.removed == 2)
        #expect(tree("b") == ["1.txt": "one", "sub/2.txt": "two"])

        // The same size and another time: copied, unless contents are compared.
        try put("one", "a/1.txt", time: 1_700_000_009)
        summary = try await copy(a, b) {
            $0.isSync = true; $0.comparesContents = true
        }
        #expect(summary.unchangedFiles == 2)
        summary = try await copy(a, b) { $0.isSync = true }
        #expect(summary.copiedFiles == 1)
        // The same size and time and another content: only comparing contents sees it.
        try put("eno", "a/1.txt", time: 1_700_000_009)
        summary = try await copy(a, b) { $0.isSync = true }
        #expect(summary.copiedFiles == 0)
        summary = try await copy(a, b) {
            $0.isSync = true; $0.comparesContents = true
        }
        #expect(summary.copiedFiles == 1 && tree("b")["1.txt"] == "eno")
    }

    @Test func filteredFilesAreNeitherCopiedNorRemoved() async throws {
        try put("1", "a/1.txt")
        try put("2", "a/2.tmp")
        try put("3", "b/3.tmp")
        try put("4", "b/4.txt")
        let summary = try await copy(LocalTree(path("a")), LocalTree(path("b"))) {
            $0.isSync = true
            $0.filter.excludes = ["*.tmp"]
        }
        #expect(summary.copiedFiles == 1 && tree("b") == ["1.txt": "1", "3.tmp": "3"])
    }

    @Test func linksAndUnreadableThingsAreToldAndTheRestGoesOn() async throws {
        try put("1", "a/1.txt")
        symlink("/etc/passwd", path("a/link"))
        mkfifo(path("a/pipe"), 0o600)
        // A directory stands where the file should go.
        try put("x", "b/1.txt/x")
        try put("2", "a/2.txt")
        let summary = try await copy(LocalTree(path("a")), LocalTree(path("b")))
        #expect(summary.skipped == 2 && summary.failed == 1 && summary.copiedFiles == 1)
        #expect(tree("b") == ["1.txt/x": "x", "2.txt": "2"])
    }

    /// A source that breaks after some pieces, and what the next copy asks for.
    private final class BreakingSource: Sendable {
        let offsets = Mutex<[UInt64]>([])
    }

    @Test func aCutCopyGoesOn() async throws {
        let target = LocalTree(path("file"))
        let whole = String(repeating: "0123456789", count: 1000)
        let notes = BreakingSource()
        struct Cut: Error {}
        let attempt: (Bool) async throws -> Void = { breaks in
            let content = FileContent { range, sink in
                notes.offsets.withLock { $0.append(range.lowerBound) }
                let rest = whole.utf8.dropFirst(Int(range.lowerBound))
                try await sink(ByteBuffer(bytes: rest.prefix(4000)))
                if breaks { throw Cut() }
                try await sink(ByteBuffer(bytes: rest.dropFirst(4000)))
            }
            try await target.write(
                .root, size: 10_000, attributes: FileAttributes(modified: 1_700_000_000), resumeKey: "the same", content)
        }
        await #expect(throws: Cut.self) { try await attempt(true) }
        #expect(!FileManager.default.fileExists(atPath: path("file")))
        try await attempt(false)
        #expect(notes.offsets.withLock { $0 } == [0, 4000])
        #expect(try String(contentsOfFile: path("file"), encoding: .utf8) == whole)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["file"])
    }

    @Test func aShortSourceLeavesTheOldFile() async throws {
        try put("old", "file")
        await #expect(throws: Failure.self) {
            let content = FileContent { _, sink in try await sink(ByteBuffer(string: "short")) }
            try await LocalTree(path("file")).write(.root, size: 10, attributes: FileAttributes(), resumeKey: nil, content)
        }
        #expect(try String(contentsOfFile: path("file"), encoding: .utf8) == "old")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["file"])
    }

    @Test func volumesAreTreesToo() async throws {
        let volume = try makeVolume()
        let big = String(repeating: "a lot of content ", count: 100_000)
        try put(big, "a/deep/er/big.txt", time: 1_700_000_000.5)
        try put("", "a/empty")
        let a = LocalTree(path("a"))
        var summary = try await copy(a, volume)
        #expect(summary.copiedFiles == 2 && summary.failed == 0)
        summary = try await copy(a, volume) { $0.isSync = true }
        #expect(summary.unchangedFiles == 2)
        // Over what is there, whole or nothing.
        try put("short", "a/deep/er/big.txt")
        summary = try await copy(a, volume)
        #expect(summary.copiedFiles == 2)
        try await volume.move(RemotePath("/deep/er"), to: RemotePath("/moved/here"), overwrite: false)
        #expect(try await volume.entry(RemotePath("/deep/er")) == nil)
        await #expect(throws: Failure.self) { try await volume.remove(RemotePath("/moved"), recursive: false) }
        _ = try await copy(volume, LocalTree(path("back")))
        #expect(tree("back") == ["moved/here/big.txt": "short", "empty": ""])
        try await volume.remove(RemotePath("/moved"), recursive: true)
        var names: [String] = []
        try await volume.list(.root) { names += $0.map { String(decoding: $0.name, as: UTF8.self) } }
        #expect(names.sorted() == ["deep", "empty"])
        try await volume.close()
    }

    @Test func theBandwidthLimitHolds() async throws {
        try put(String(repeating: "x", count: 600_000), "a/1")
        let started = ContinuousClock.now
        _ = try await copy(LocalTree(path("a")), LocalTree(path("b"))) { $0.bandwidthBytes = 1_000_000 }
        // Three pieces; the last begins when two are paid for: 2 x 262,144 bytes.
        #expect(ContinuousClock.now - started >= .milliseconds(500))
    }
}
