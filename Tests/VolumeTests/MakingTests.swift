import BlobStorage
import Glibc
import KeyManagement
import LinuxTesting
import Sealing
import Syscalls
import Testing

@testable import FileSystem

/// Making a volume: beside another process, after an interruption, where it fails, and what it does not touch.
@Suite struct MakingTests {
    private let sandbox: Sandbox

    init() throws { sandbox = try Sandbox() }

    private func names() throws -> Set<String> { try Set(directoryNames(sandbox.data)) }

    private func failure(_ body: () throws -> Void) -> Failure? {
        do {
            try body()
            return nil
        } catch { return error as? Failure }
    }

    /// What `efs init` has in the directory when it is killed right before the header gets its name.
    private func interrupt() throws {
        try sandbox.create()
        sandbox.run("mv", sandbox.data + "/efs.volume", sandbox.data + "/efs.volume.new")
        sandbox.run("rm", "-rf", sandbox.path + "/state")
        #expect(try names().contains { $0.utf8.count == 4 })
    }

    @Test func whatAnInterruptedMakingLeftIsCleared() throws {
        try interrupt()
        let before = try shell("find . -type f -path './????/*'", in: sandbox.data).output.split(separator: "\n")
        #expect(before.count > 1)
        mkdir(sandbox.data + "/beef", 0o700)
        mkdir(sandbox.data + "/lost+found", 0o700)
        #expect(try Volume.holdsNothing(at: sandbox.data))
        try Volume.checkCanBeCreated(at: sandbox.data)
        #expect(failure { _ = try sandbox.open() }?.kind == .notAVolume)
        try sandbox.create()
        let left = try names()
        #expect(left.isSuperset(of: ["efs.volume", "efs.head.0", "efs.lock", "lost+found"]) && !left.contains("beef"))
        try sandbox.open().close()
        for blob in before { #expect(access("\(sandbox.data)/\(blob)", F_OK) != 0) }
    }

    /// A directory that only lost its header, or whose header a sync has not brought yet, is no unfinished volume.
    @Test func aVolumeThatLostItsHeaderIsLeftAlone() throws {
        try sandbox.create()
        sandbox.run("mv", sandbox.data + "/efs.volume", sandbox.path + "/backup")
        let before = try names()
        #expect(failure { try sandbox.create() }?.kind == .notEmpty)
        #expect(try !Volume.holdsNothing(at: sandbox.data))
        #expect(try names() == before)
        sandbox.run("mv", sandbox.path + "/backup", sandbox.data + "/efs.volume")
        try sandbox.open().close()
    }

    @Test func nothingOfOthersIsCleared() throws {
        try interrupt()
        sandbox.run("touch", sandbox.data + "/thesis")
        let before = try names()
        #expect(failure { try sandbox.create() }?.kind == .notEmpty)
        #expect(try names() == before)
    }

    @Test func aDirectoryOfOthersGetsNoLockFile() throws {
        sandbox.run("mkdir", sandbox.data)
        sandbox.run("touch", sandbox.data + "/thesis")
        #expect(failure { try sandbox.create() }?.kind == .notEmpty)
        #expect(try names() == ["thesis"])
    }

    @Test func aMakingThatFailsRemovesWhatItMade() throws {
        // No state can be kept here: that fails last of all.
        sandbox.run("touch", sandbox.path + "/state")
        #expect(failure { try sandbox.create() } != nil)
        #expect(access(sandbox.data, F_OK) != 0)
        sandbox.run("mkdir", sandbox.data)
        #expect(failure { try sandbox.create() } != nil)
        #expect(try names().isSubset(of: ["efs.lock"]))
        #expect(failure { try sandbox.create(.aes256Gcm, "") }?.kind == .usage)
        sandbox.run("rm", sandbox.path + "/state")
        try sandbox.create()
        try sandbox.open().close()
    }

    /// Of several at once one makes the volume, and it is whole; the others are told so.
    @Test func severalAtOnceMakeOneVolume() throws {
        for _ in 0..<5 {
            sandbox.run("rm", "-rf", sandbox.data, sandbox.path + "/state")
            let outcomes = Outcomes()
            let (data, options) = (sandbox.data, sandbox.options)
            let threads = (0..<4).map { number in
                WorkerThread(name: "init") {
                    outcomes.note(number) { () throws(Failure) in
                        try Volume.create(
                            at: data, suite: .aes256Gcm, password: secret("correct"), cost: .minimumForTests, options: options)
                    }
                }
            }
            for thread in threads { thread.join() }
            #expect(outcomes.winners.count == 1)
            #expect(outcomes.refusals.allSatisfy { [.alreadyExists, .busy, .notEmpty].contains($0) }, "\(outcomes.refusals)")
            try sandbox.open().close()
        }
    }
}
