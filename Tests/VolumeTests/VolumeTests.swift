import BlobStorage
import FileSystem
import Glibc
import KeyManagement
import LinuxTesting
import Log
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// A data directory and a state directory of their own, removed at the end.
final class Sandbox {
    let path: String

    init() throws {
        var template = Array("/tmp/efs-volume-test-XXXXXX".utf8CString)
        try template.withUnsafeMutableBufferPointer {
            if mkdtemp($0.baseAddress!) == nil { throw Failure(systemCall: "mkdtemp", object: "/tmp", .current) }
        }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { run("rm", "-rf", path) }

    var data: String { path + "/data" }
    var options: VolumeOptions {
        var options = VolumeOptions()
        options.stateDirectory = path + "/state"
        return options
    }

    func run(_ arguments: String...) {
        let script = arguments.map { "'\($0)'" }.joined(separator: " ")
        do throws(Errno) {
            let result = try shell(script, in: path)
            if result.status != 0 { Issue.record("\(script): \(result.output)") }
        } catch { Issue.record(error) }
    }

    /// Puts a copy that was made before in the data directory's place.
    func replaceData(with copy: String) {
        run("rm", "-rf", data)
        run("mv", path + "/" + copy, data)
    }

    /// The kind of failure with which the volume is not opened; nil, and an issue, if it is.
    func refusal(_ what: Comment, password: String = "correct") -> FailureKind? {
        do {
            _ = try open(password)
            Issue.record(what)
            return nil
        } catch { return (error as? Failure)?.kind }
    }

    func create(_ suite: CipherSuite = .aes256Gcm, _ password: String = "correct") throws {
        try Volume.create(at: data, suite: suite, password: secret(password), cost: .minimumForTests, options: options)
    }

    func open(_ password: String = "correct", _ change: (inout VolumeOptions) -> Void = { _ in }) throws -> Volume {
        var options = self.options
        change(&options)
        return try Volume.open(at: data, password: secret(password), options: options)
    }
}

/// What several threads came to that tried the same.
final class Outcomes: Sendable {
    private let state = Mutex<(winners: [Int], refusals: [FailureKind])>(([], []))

    func note(_ number: Int, _ body: () throws(Failure) -> Void) {
        do throws(Failure) {
            try body()
            state.withLock { $0.winners.append(number) }
        } catch { state.withLock { $0.refusals.append(error.kind) } }
    }

    var winners: [Int] { state.withLock { $0.winners } }
    var refusals: [FailureKind] { state.withLock { $0.refusals } }
}

func secret(_ text: String) -> SecretBytes { SecretBytes(count: text.utf8.count) { $0.copyBytes(from: Array(text.utf8)) } }

extension FileSystem {
    func make(_ name: String, _ content: [UInt8]) throws -> InodeID {
        let made = try Array(name.utf8).withUnsafeBytes {
            try makeNode(InodeID(1), $0, mode: 0o644, caller: Caller(uid: 0, gid: 0), retaining: false)
        }
        try content.withUnsafeBytes { try write(made.inode, at: 0, from: $0) }
        return made.inode
    }

    func content(_ name: String) throws -> [UInt8] {
        let found = try Array(name.utf8).withUnsafeBytes { try lookup(InodeID(1), $0, retaining: false) }
        var bytes = [UInt8](repeating: 0, count: Int(found.sizeBytes))
        let count = try bytes.withUnsafeMutableBytes { try read(found.inode, at: 0, into: $0) }
        return Array(bytes[0..<count])
    }
}

@Suite struct VolumeTests {
    @Test(arguments: CipherSuite.allCases) func whatWasWrittenIsThereAfterClosing(suite: CipherSuite) throws {
        let sandbox = try Sandbox()
        try sandbox.create(suite)
        let volume = try sandbox.open()
        let large = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        _ = try volume.fileSystem.make("small", [1, 2, 3])
        _ = try volume.fileSystem.make("large", large)
        try volume.close()
        let again = try sandbox.open { $0.isReadOnly = true }
        #expect(try again.fileSystem.content("small") == [1, 2, 3])
        #expect(try again.fileSystem.content("large") == large)
        let report = try again.check(deep: true)
        #expect(report.isClean, "\(report.problems)")
        #expect(report.inodes == 3)
    }

    @Test func whatWasSyncedIsThereWithoutClosing() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        do {
            let volume = try sandbox.open()
            let inode = try volume.fileSystem.make("kept", [UInt8](repeating: 5, count: 70_000))
            try volume.fileSystem.synchronize(inode, dataOnly: false)
            // A copy of the directory is what a crash leaves.
            sandbox.run("cp", "-r", sandbox.data, sandbox.path + "/crashed")
            try volume.close()
        }
        let crashed = try Volume.open(
            at: sandbox.path + "/crashed", password: secret("correct"),
            options: {
                var options = sandbox.options
                options.stateDirectory = sandbox.path + "/other-state"
                return options
            }())
        #expect(try crashed.fileSystem.content("kept") == [UInt8](repeating: 5, count: 70_000))
        try crashed.close()
    }

    @Test func aWrongPasswordAndASecondWriterAreRefused() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        #expect(throws: Failure.self) { try sandbox.open("wrong") }
        let volume = try sandbox.open()
        do {
            _ = try sandbox.open()
            Issue.record("a second writer was let in")
        } catch let failure as Failure {
            #expect(failure.kind == .busy)
            #expect(failure.message.contains("process \(getpid())"))
        }
        try volume.close()
    }

    @Test func thePasswordChangesAndTheDataStays() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [9])
        // While the volume is open, too.
        try Volume.changePassword(
            at: sandbox.data, from: secret("correct"), to: secret("other"), cost: .minimumForTests, options: sandbox.options)
        try volume.close()
        #expect(throws: Failure.self) { try sandbox.open("correct") }
        #expect(try sandbox.open("other").fileSystem.content("a") == [9])
    }

    @Test func anOlderStateIsRefusedUntilItIsAccepted() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        var volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1])
        try volume.close()
        sandbox.run("cp", "-a", sandbox.data, sandbox.path + "/old")
        volume = try sandbox.open()
        _ = try volume.fileSystem.make("b", [2])
        try volume.close()
        sandbox.replaceData(with: "old")
        #expect(sandbox.refusal("an older state was let in") == .rolledBack)
        // Accepted, it becomes the truth, also where its generations pass those that were seen.
        volume = try sandbox.open { $0.acceptsRollback = true }
        #expect(try volume.fileSystem.content("a") == [1])
        _ = try volume.fileSystem.make("c", [3])
        try volume.close()
        try sandbox.open().close()
    }

    /// As a child has that is being started: between fork and exec it holds copies of all descriptors.
    @Test func aCopyOfTheLockKeepsNobodyOut() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        let locks = try directoryNames("/proc/self/fd").compactMap(Int32.init).filter { number in
            var target = [CChar](repeating: 0, count: 4096)
            guard readlink("/proc/self/fd/\(number)", &target, target.count - 1) > 0 else { return false }
            return target.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } == sandbox.data + "/efs.lock"
        }
        let copies = locks.map { OwnedDescriptor(adopting: dup($0)) }
        #expect(!copies.isEmpty)
        try volume.close()
        try withExtendedLifetime(copies) { try sandbox.open().close() }
    }

    @Test func aForkIsRefused() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        try sandbox.open().close()
        sandbox.run("cp", "-a", sandbox.data, sandbox.path + "/fork")
        // Another machine goes on with the copy, further than this one.
        var elsewhere = sandbox.options
        elsewhere.stateDirectory = sandbox.path + "/state-elsewhere"
        for number in 0..<6 {
            let other = try Volume.open(at: sandbox.path + "/fork", password: secret("correct"), options: elsewhere)
            _ = try other.fileSystem.make("fork\(number)", [1])
            try other.close()
        }
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("here", [1])
        try volume.close()
        sandbox.replaceData(with: "fork")
        #expect(sandbox.refusal("a fork was let in") == .rolledBack)
    }

    @Test func readingWritesNothing() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1])
        try volume.close()
        sandbox.run("cp", "-a", sandbox.data, sandbox.path + "/before")
        let reader = try sandbox.open { $0.isReadOnly = true }
        #expect(try reader.fileSystem.content("a") == [1])
        #expect(throws: (any Error).self) { try reader.fileSystem.make("b", [1]) }
        try reader.close()
        sandbox.run("diff", "-r", sandbox.data, sandbox.path + "/before")
    }

    @Test func overwritingOverAndOverGivesItsRoomBack() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let inode = try volume.fileSystem.make("a", bytes)
        for round in 0..<140 {
            bytes[0] = UInt8(truncatingIfNeeded: round)
            try bytes.withUnsafeBytes { try volume.fileSystem.write(inode, at: 0, from: $0) }
        }
        try volume.sync()
        for _ in 0..<4 {
            _ = try volume.fileSystem.make("tick\(UInt64.random(in: 0 ... .max))", [1])
            try volume.checkpoint()
        }
        #expect(volume.statistics.segmentBytes < 70 << 20)
        #expect(try volume.fileSystem.content("a") == bytes)
        try volume.close()
    }
}
