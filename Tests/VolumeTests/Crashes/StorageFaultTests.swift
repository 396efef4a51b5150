import DiskSimulation
import Glibc
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// Each call of a history that changes the disk made to fail in turn, once or from then on, with each error number that a disk has for it. The
/// call that the failure belongs to says so; what it should have done is not there; what was promised is, after a power cut too; and a
/// sync that failed is never taken for one that worked. All calls with `EFS_TEST_FULL`, else some, by the seed.
@Suite struct StorageFaultTests {
    private static let history: [CrashStep] = [
        .write, .syncFile, .overwrite, .append, .sync, .create, .truncateDown, .checkpoint, .truncateUp, .syncDirectory, .link, .clean,
        .renameOver, .checkpoint, .makeDirectory, .compact, .changePassword, .write, .sync, .unlink, .remount, .append, .syncDirectory,
    ]

    struct Kind: Sendable, CustomStringConvertible {
        var error: Errno
        var lasts: Bool
        var calls: Set<SimulatedDisk.Call>
        var description: String { "\(error), \(lasts ? "from then on" : "once")" }
    }

    static let kinds: [Kind] = [Errno.ioError, .noSpace, .diskQuotaExceeded].flatMap { error -> [Kind] in
        // Deleting and cutting need no room, as far as a test can ask for that.
        let calls: Set<SimulatedDisk.Call> =
            error == .ioError
            ? [.make, .write, .truncate, .allocate, .sync, .syncFolder, .unlink, .rename] : [.make, .write, .allocate, .sync]
        return [Kind(error: error, lasts: false, calls: calls), Kind(error: error, lasts: true, calls: calls)]
    }

    /// What a fault has done so far.
    private final class Fault: Sendable {
        private let state = Mutex<(passed: Int, hits: [SimulatedDisk.Call])>((0, []))
        let kind: Kind
        private let after: Int

        init(_ kind: Kind, after: Int) {
            self.kind = kind
            self.after = after
        }

        func ask(_ call: SimulatedDisk.Call) -> Errno? {
            guard kind.calls.contains(call) else { return nil }
            return state.withLock { state in
                state.passed += 1
                guard kind.lasts ? state.passed > after : state.passed - 1 == after else { return nil }
                state.hits.append(call)
                return kind.error
            }
        }

        var hits: [SimulatedDisk.Call] { state.withLock { $0.hits } }
        var passed: Int { state.withLock { $0.passed } }
    }

    @Test(arguments: kinds) func everyCallFailsInTurn(kind: Kind) throws {
        let volumes = DiskVolumes()
        let base = try CrashBase(volumes)
        let never = Fault(kind, after: .max)
        _ = try run(volumes, base, never, "no fault")
        #expect(never.hits.isEmpty && never.passed > 40)
        let stride = getenv("EFS_TEST_FULL") == nil ? 37 : 1
        for call in Swift.stride(from: Int(PowerCutTests.seed % UInt64(stride)), to: never.passed, by: stride) {
            let fault = Fault(kind, after: call)
            let place = "\(kind), call \(call) of \(never.passed), EFS_TEST_SEED=\(PowerCutTests.seed)"
            let run = try run(volumes, base, fault, place)
            #expect(!fault.hits.isEmpty, "\(place)")
            run.abandon()
            var plan = PowerCutPlan()
            plan.firstPoint = run.disk.recordCount
            plan.seed = PowerCutTests.seed
            var check = try CrashCheck(run, place)
            check.check(plan)
        }
    }

    private func run(_ volumes: DiskVolumes, _ base: CrashBase, _ fault: Fault, _ place: String) throws -> CrashRun {
        let run = try CrashRun(volumes, base)
        run.disk.setFault { call, _ in fault.ask(call) }
        for (number, step) in Self.history.enumerated() {
            let place = "\(place), step \(number), \(step.rawValue)"
            let before = fault.hits.count
            let wasReadOnly = run.volume?.log.tail.failure != nil
            let tree = run.model.tree
            do {
                let error = try run.runFaulty(step)
                let hits = fault.hits[before...]
                // A table that found no room is written once more, as another blob, with the room that was kept: that is no lie.
                let mayWriteAgain = fault.kind.error != .ioError && (step == .checkpoint || step == .remount)
                if step.promises, !mayWriteAgain, hits.contains(where: \.isSync) {
                    #expect(error != nil, "\(place): a sync failed and nobody was told")
                }
                if wasReadOnly, step.changes, error != nil { #expect(error == .readOnlyFileSystem, "\(place)") }
                if wasReadOnly, step.changes, error == nil {
                    #expect(run.model.tree == tree, "\(place): the volume should be read-only")
                }
                if let error, !wasReadOnly, error == .readOnlyFileSystem {
                    Issue.record("\(place): EROFS, and nobody was told why")
                }
                if step == .remount, error != nil, run.disk.hasDoubts { break }
                #expect(try run.volume?.fileSystem.crashTree() == run.model.tree, "\(place): what is seen")
            } catch {
                Issue.record("\(place): \(error)")
                return run
            }
        }
        return run
    }

    /// The one that failed says what the disk said; all that follows say that the volume is read-only, and why. Reading goes on.
    @Test(arguments: [Errno.ioError, .noSpace, .diskQuotaExceeded]) func aFailedSyncEndsAllWriting(error: Errno) throws {
        let volumes = DiskVolumes()
        let reports = Mutex<[String]>([])
        let disk = SimulatedDisk()
        let state = try StateDirectory()
        defer { withExtendedLifetime(state) {} }
        let options = volumes.options(state) { $0.report = { text in reports.withLock { $0.append(text) } } }
        try volumes.create(disk, options)
        let volume = try volumes.open(disk, options)
        try volume.fileSystem.makeFile("a")
        try volume.fileSystem.write("a", at: 0, [1, 2, 3])
        disk.setFault { call, _ in call == .sync ? error : nil }
        #expect(throws: error) { try volume.fileSystem.synchronize("a") }
        disk.setFault(nil)
        for _ in 0..<3 {
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.synchronize("a") }
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.write("a", at: 0, [4]) }
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.makeFile("b") }
        }
        #expect(try volume.fileSystem.bytes(volume.fileSystem.find("a")) == [1, 2, 3])
        let told = reports.withLock { $0 }
        #expect(told.contains { $0.contains("fdatasync failed") }, "\(told)")
        #expect(told.contains { $0.contains("read-only since its storage failed") && $0.contains("fdatasync failed") }, "\(told)")
        let failure = #expect(throws: Failure.self) { try volume.close() }
        #expect(failure?.kind == .readOnly && failure?.hint != nil)
    }
}

extension CrashStep {
    /// Whoever asks for it relies on what it says.
    fileprivate var promises: Bool {
        switch self {
        case .syncFile, .syncDirectory, .sync, .checkpoint, .changePassword, .remount: true
        default: false
        }
    }

    /// Changes the file system, where it applies.
    fileprivate var changes: Bool {
        switch self {
        case .syncFile, .syncDirectory, .sync, .checkpoint, .compact, .clean, .changePassword, .remount: false
        default: true
        }
    }
}
