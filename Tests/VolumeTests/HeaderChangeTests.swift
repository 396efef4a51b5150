import FileSystem
import Glibc
import KeyManagement
import LinuxTesting
import Sealing
import Syscalls
import Testing

/// Changes of the password: several at once, while the volume is open, and an old header that is put back.
@Suite struct HeaderChangeTests {
    private let sandbox: Sandbox

    init() throws {
        sandbox = try Sandbox()
        try sandbox.create()
    }

    private func options(state: String) -> VolumeOptions {
        var options = sandbox.options
        options.stateDirectory = sandbox.path + "/" + state
        return options
    }

    private func change(from old: String, to new: String, state: String = "state") throws(Failure) {
        try Volume.changePassword(
            at: sandbox.data, from: secret(old), to: secret(new), cost: .minimumForTests, options: options(state: state))
    }

    private func open(_ password: String, state: String) throws(Failure) -> Volume {
        try Volume.open(at: sandbox.data, password: secret(password), options: options(state: state))
    }

    private func keepHeader() { sandbox.run("cp", sandbox.data + "/efs.volume", sandbox.path + "/old") }
    private func putHeaderBack() { sandbox.run("cp", sandbox.path + "/old", sandbox.data + "/efs.volume") }

    /// One of them changes it; the others find the password changed, not that it worked.
    @Test func ofSeveralAtOnceOneChangesThePassword() throws {
        let outcomes = Outcomes()
        let (data, options) = (sandbox.data, sandbox.options)
        let threads = (0..<6).map { number in
            WorkerThread(name: "passwd") {
                outcomes.note(number) { () throws(Failure) in
                    try Volume.changePassword(
                        at: data, from: secret("correct"), to: secret("new \(number)"), cost: .minimumForTests, options: options)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(outcomes.winners.count == 1)
        #expect(outcomes.refusals == [FailureKind](repeating: .wrongPassword, count: 5))
        #expect(try Volume.information(at: data).header.revision == 2)
        try sandbox.open("new \(outcomes.winners.first ?? -1)").close()
        #expect(try directoryNames(data).filter { $0.hasPrefix("efs.volume") } == ["efs.volume"])
    }

    @Test func whatAKilledChangeLeftGoesWithTheNext() throws {
        sandbox.run("cp", sandbox.data + "/efs.volume", sandbox.data + "/efs.volume.new.1234")
        try change(from: "correct", to: "other")
        #expect(try directoryNames(sandbox.data).filter { $0.hasPrefix("efs.volume") } == ["efs.volume"])
    }

    /// A machine that only changed the password takes the old header no more, though it has seen no commit.
    @Test func aMachineThatHasSeenNothingElseRemembersTheHeader() throws {
        keepHeader()
        try change(from: "correct", to: "other", state: "elsewhere")
        let id = try Volume.information(at: sandbox.data).header.volumeID
        let store = FreshnessStore(directory: sandbox.path + "/elsewhere")
        #expect(try store.load(volumeID: id) == .headerOnly(revision: 2))
        sandbox.run("cp", sandbox.data + "/efs.volume", sandbox.path + "/new")
        putHeaderBack()
        // Nothing of the volume itself speaks against it: another machine takes it.
        try open("correct", state: "third").close()
        #expect(throws: Failure.self) { try open("correct", state: "elsewhere") }
        // It opens what it changed.
        sandbox.run("cp", sandbox.path + "/new", sandbox.data + "/efs.volume")
        try open("other", state: "elsewhere").close()
        #expect(try store.load(volumeID: id)?.durable.generation ?? 0 > 0)
        #expect(try store.load(volumeID: id)?.headerRevision == 2)
    }

    /// The head of a volume that was open while the password was changed elsewhere remembers the new header, for machines that have seen
    /// neither.
    @Test func theHeadRemembersAChangeWhileTheVolumeIsOpen() throws {
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1])
        keepHeader()
        try change(from: "correct", to: "other", state: "elsewhere")
        try volume.close()
        let id = try Volume.information(at: sandbox.data).header.volumeID
        #expect(try FreshnessStore(directory: sandbox.path + "/state").load(volumeID: id)?.headerRevision == 2)
        putHeaderBack()
        do {
            _ = try Volume.open(at: sandbox.data, password: secret("correct"), options: options(state: "third"))
            Issue.record("an old header was let in")
        } catch { #expect(error.kind == .rolledBack) }
    }

    /// Someone without the keys writes a header of a huge revision while the volume is open: it must not be remembered.
    @Test func aHeaderThatIsNotAuthenticIsNotRemembered() throws {
        let volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1])
        keepHeader()
        var forged = try readFile(sandbox.data + "/efs.volume")
        for index in 56..<64 { forged[index] = 0xFF }
        let end = forged.count - 32
        forged.replaceSubrange(end..., with: DigestHasher.digest(of: Array(forged[..<end])).bytes)
        try writeFile(sandbox.data + "/efs.volume", forged)
        #expect(try Volume.information(at: sandbox.data).header.revision == .max)
        try volume.close()
        putHeaderBack()
        try sandbox.open().close()
    }

    @Test func anOldHeaderThatIsAcceptedIsTheTruth() throws {
        keepHeader()
        try change(from: "correct", to: "other")
        putHeaderBack()
        #expect(sandbox.refusal("an old header was let in") == .rolledBack)
        try sandbox.open { $0.acceptsRollback = true }.close()
        try sandbox.open().close()
    }
}
