import FileSystem
import Glibc
import KeyManagement
import LinuxTesting
import Log
import Synchronization
import Syscalls
import Testing

/// What this machine remembers between checkpoints: a log that is cut or damaged behind the last one is found out, a torn end is not
/// taken for that.
@Suite struct RollbackTests {
    private let sandbox: Sandbox

    init() throws {
        sandbox = try Sandbox()
        try sandbox.create()
    }

    private func remembered() throws -> FreshnessState? {
        let id = try Volume.information(at: sandbox.data).header.volumeID
        return try FreshnessStore(directory: sandbox.path + "/state").load(volumeID: id)
    }

    /// The newest generation that the thread of the background has written down.
    private final class Memory: Sendable {
        private let monitor = Monitor()
        private let newest = Atomic<UInt64>(0)

        func note(_ generation: UInt64) {
            monitor.withLock {
                newest.store(generation, ordering: .relaxed)
                monitor.broadcast()
            }
        }

        /// The time is no measure of anything: it only ends a test that would hang.
        func wait(for generation: UInt64) {
            monitor.withLock { while newest.load(ordering: .relaxed) < generation, monitor.wait(seconds: 300) {} }
            #expect(newest.load(ordering: .relaxed) >= generation)
        }
    }

    /// A volume of a session that goes on: with `a` and `b`, each synced by itself, and copies of the data directory after each. Between the
    /// two there is no checkpoint: where the background made one, all is done again.
    private func prepare(betweenThem body: () throws -> Void = {}) throws {
        let memory = Memory()
        let volume = try sandbox.open { $0.didRemember = { memory.note($0) } }
        _ = try volume.fileSystem.make("a", [1])
        for attempt in 0..<5 {
            _ = try volume.fileSystem.make("attempt \(attempt)", [])
            try copyOnceRemembered(volume, memory, "with-a")
            let checkpoints = volume.statistics.checkpoints
            try body()
            let inode = try volume.fileSystem.make("b", [2])
            try volume.fileSystem.synchronize(inode, dataOnly: false)
            try copyOnceRemembered(volume, memory, "with-b")
            if volume.statistics.checkpoints == checkpoints { return }
            try Array("b".utf8).withUnsafeBytes { try volume.fileSystem.unlink(.root, $0) }
        }
        Issue.record("a checkpoint came between five times")
    }

    /// On a busy machine the background commits at any time, also while the directory is being copied: then all is done again.
    private func copyOnceRemembered(_ volume: Volume, _ memory: Memory, _ name: String) throws {
        for _ in 0..<20 {
            try volume.sync()
            let generation = volume.statistics.generation
            memory.wait(for: generation)
            let isWhole = try copy(sandbox.data, to: name)
            if try isWhole && volume.statistics.generation == generation && remembered()?.durable.generation == generation { return }
        }
        Issue.record("the volume was never at rest")
    }

    /// False if something went while it was being copied: the background deletes blobs that no checkpoint names any more.
    private func copy(_ source: String, to name: String) throws -> Bool {
        sandbox.run("rm", "-rf", "\(sandbox.path)/\(name)")
        return try shell("cp -a '\(source)' '\(sandbox.path)/\(name)'", in: sandbox.path).status == 0
    }

    private func open(_ copy: String, _ change: (inout VolumeOptions) -> Void = { _ in }) throws -> Volume {
        var options = sandbox.options
        change(&options)
        return try Volume.open(at: "\(sandbox.path)/\(copy)", password: secret("correct"), options: options)
    }

    private func failure(_ copy: String) -> FailureKind? {
        do {
            _ = try open(copy)
            return nil
        } catch { return (error as? Failure)?.kind }
    }

    /// Changes the first byte in which the segment of one copy differs from the other's: in the header of `b`'s first frame.
    private func damageWhatIsOnlyInTheSecondCopy() throws {
        let found = try shell("find . -type f -path './*/*'", in: sandbox.path + "/with-b").output
        var changed = 0
        for name in found.split(separator: "\n").map(String.init) {
            let path = sandbox.path + "/with-b/" + name
            var bytes = try readFile(path)
            let before = try readFile(sandbox.path + "/with-a/" + name)
            guard let place = bytes.indices.first(where: { $0 >= before.count || bytes[$0] != before[$0] }) else { continue }
            bytes[place] ^= 1
            try writeFile(path, bytes)
            changed += 1
        }
        #expect(changed == 1)
    }

    @Test func aLogThatIsCutBehindTheLastCheckpointIsRefused() throws {
        try prepare()
        #expect(failure("with-a") == .rolledBack)
        // Nothing was written while it was refused, and the flag accepts it.
        let volume = try open("with-a") { $0.acceptsRollback = true }
        #expect(try volume.fileSystem.content("a") == [1])
        #expect(throws: (any Error).self) { try volume.fileSystem.content("b") }
        try volume.close()
        // It is the truth now, and the other is another history.
        try open("with-a").close()
        #expect(failure("with-b") == .rolledBack)
    }

    @Test func whatIsWholeIsNotRefused() throws {
        try prepare()
        let volume = try open("with-b")
        #expect(try volume.fileSystem.content("a") == [1])
        #expect(try volume.fileSystem.content("b") == [2])
        try volume.close()
        try open("with-b").close()
    }

    @Test func damageToTheLastCommitIsToldFromATornEnd() throws {
        try prepare()
        try damageWhatIsOnlyInTheSecondCopy()
        #expect(failure("with-b") == .damaged)
        let volume = try open("with-b") { $0.acceptsRollback = true }
        #expect(try volume.fileSystem.content("a") == [1])
        try volume.close()
    }

    /// As after a power cut: what was written behind the last commit that is remembered is there in part, or not at all.
    @Test func aTornEndIsNotRefused() throws {
        try prepare {
            sandbox.run("rm", "-rf", sandbox.path + "/state-with-a")
            sandbox.run("cp", "-a", sandbox.path + "/state", sandbox.path + "/state-with-a")
        }
        try damageWhatIsOnlyInTheSecondCopy()
        for copy in ["with-a", "with-b"] {
            let volume = try open(copy) { $0.stateDirectory = "\(sandbox.path)/state-with-a" }
            #expect(try volume.fileSystem.content("a") == [1])
            #expect(throws: (any Error).self) { try volume.fileSystem.content("b") }
            // Not written, so that the second copy meets the same state.
            _ = volume
        }
    }

    /// Another machine is shown the log without its end, and goes on from there, further than what was seen here.
    @Test func aHistoryThatGoesOnFromBehindTheCheckpointIsRefused() throws {
        try prepare()
        for number in 0..<4 {
            let other = try open("with-a") { $0.stateDirectory = sandbox.path + "/elsewhere" }
            _ = try other.fileSystem.make("there-\(number)", [3])
            try other.close()
        }
        #expect(
            try remembered()?.durable.generation ?? 0
                < open("with-a") { $0.stateDirectory = sandbox.path + "/elsewhere" }.statistics.generation)
        #expect(failure("with-a") == .rolledBack)
    }

    /// Another machine goes on with all of a log whose session did not close.
    @Test func anotherMachineMayGoOnAfterACrash() throws {
        try prepare()
        let other = try open("with-b") { $0.stateDirectory = sandbox.path + "/elsewhere" }
        _ = try other.fileSystem.make("there", [3])
        try other.close()
        let volume = try open("with-b")
        #expect(try volume.fileSystem.content("there") == [3])
        try volume.close()
    }
}
