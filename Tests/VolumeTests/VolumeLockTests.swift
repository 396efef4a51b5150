import BlobStorage
import Glibc
import LinuxTesting
import Syscalls
import Testing

@testable import FileSystem

/// Who is said to have a volume, and what a mount tells of room.
@Suite struct VolumeLockTests {
    /// A process that ran and is no more.
    private func deadProcess() throws -> pid_t {
        let text = try shell("sh -c 'echo $$'", in: "/").output
        return try #require(pid_t(text.filter { !$0.isWhitespace }))
    }

    @Test func theHolderIsSaidOnlyIfItCanBe() throws {
        let mine = VolumeLock.text(process: getpid(), host: "here")
        #expect(VolumeLock.holder(in: mine, host: "here") == "process \(getpid()) on here")
        let dead = VolumeLock.text(process: try deadProcess(), host: "here")
        #expect(VolumeLock.holder(in: dead, host: "here") == nil)
        // Of another machine's processes nothing is known.
        #expect(VolumeLock.holder(in: dead, host: "there") != nil)
        for text in ["", "\n"] { #expect(VolumeLock.holder(in: text, host: "here") == nil) }
        for text in ["process -1 on here", "process 99999999999 on here", "someone"] {
            #expect(VolumeLock.holder(in: text, host: "here") == text)
        }
    }

    @Test func aReaderIsNotTakenForTheLastWriter() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        #expect(try readFile(sandbox.data + "/efs.lock") == [])
        try sandbox.open().close()
        #expect(try readFile(sandbox.data + "/efs.lock") == [])
        // As a writer that was killed leaves it.
        try writeFile(sandbox.data + "/efs.lock", Array(VolumeLock.text(process: deadProcess(), host: VolumeLock.hostName()).utf8))
        let reader = try sandbox.open { $0.isReadOnly = true }
        do {
            _ = try sandbox.open()
            Issue.record("a writer was let in beside a reader")
        } catch let failure as Failure { #expect(failure.message == "is in use by a reader or another process") }
        try reader.close()
    }

    /// An opening that fails leaves no word behind either, and no lock.
    @Test func aWrongPasswordLeavesNothing() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        #expect(sandbox.refusal("a wrong password was let in", password: "wrong") == .wrongPassword)
        #expect(try readFile(sandbox.data + "/efs.lock") == [])
        try sandbox.open().close()
    }

    /// The lock file of a hostile directory is no way to the user's other files.
    @Test func aLinkForALockFileIsRefused() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        try writeFile(sandbox.path + "/precious", [1, 2, 3])
        sandbox.run("ln", "-sf", sandbox.path + "/precious", sandbox.data + "/efs.lock")
        #expect(sandbox.refusal("a link was followed") == .damaged)
        #expect(try readFile(sandbox.path + "/precious") == [1, 2, 3])
    }

    @Test func statfsTellsWhatUsersMayHave() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let volume = try sandbox.open()
        var facts = statvfs()
        // Other processes use the disk, too: only what is between the two figures tells them apart.
        #expect(statvfs(sandbox.data, &facts) == 0)
        let kept = UInt64(facts.f_bfree - facts.f_bavail) * UInt64(facts.f_frsize)
        let told = try volume.fileSystem.statistics().availableBlocks * 4096
        let expected = UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
        if kept > 64 << 20 { #expect(told < expected + kept / 2) }
        let capacity = try DirectoryStorage(path: sandbox.data, readOnly: true).capacity()
        #expect(capacity.availableToUsersBytes <= capacity.availableBytes)
        if geteuid() == 0, kept > 64 << 20 { #expect(capacity.availableBytes > capacity.availableToUsersBytes) }
        try volume.close()
    }
}
