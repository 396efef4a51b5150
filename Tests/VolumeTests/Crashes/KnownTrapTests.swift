import BlobStorage
import DiskSimulation
import Glibc
import KeyManagement
import Sealing
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// What other encrypted file systems have stumbled over.
@Suite struct KnownTrapTests {
    private let volumes = DiskVolumes()
    private let state: StateDirectory
    private let found: StateDirectory

    init() throws {
        state = try StateDirectory()
        found = try StateDirectory()
    }

    private func made(_ change: (inout VolumeOptions) -> Void = { _ in }) throws -> (SimulatedDisk, VolumeOptions) {
        let disk = SimulatedDisk()
        let options = volumes.options(state, change)
        try volumes.create(disk, options)
        return (disk, options)
    }

    /// More than a block is written, the file is cut, written again, and cut again: all sizes about the edges of blocks and of what is kept
    /// in a record. What was cut off must not come back, neither at once nor from the log nor from tables.
    @Test func writeShrinkWriteShrink() throws {
        let (disk, options) = try made()
        let volume = try volumes.open(disk, options)
        let sizes = [0, 1, 2048, 2049, 4095, 4096, 4097, 9000]
        var expected = CrashTree()
        var random = SeededGenerator(seed: 5)
        for first in [2049, 4097, 9000] {
            for cut in sizes {
                for (at, count) in [(0, 1), (0, 4097), (2048, 100), (4095, 2), (5000, 5000)] {
                    for last in sizes {
                        let path = "\(first) \(cut) \(at) \(count) \(last)"
                        var content = [UInt8](repeating: UInt8.random(in: 1...255, using: &random), count: first)
                        try volume.fileSystem.makeFile(path)
                        try volume.fileSystem.write(path, at: 0, content)
                        try volume.fileSystem.truncate(path, to: cut)
                        content.setSize(cut)
                        let second = [UInt8](repeating: UInt8.random(in: 1...255, using: &random), count: count)
                        try volume.fileSystem.write(path, at: at, second)
                        content.setSize(max(content.count, at + count))
                        content.replaceSubrange(at..<at + count, with: second)
                        try volume.fileSystem.truncate(path, to: last)
                        content.setSize(last)
                        expected.entries[path] = CrashTree.Entry(content: content, linkCount: 1, permissions: 0o644)
                    }
                }
            }
        }
        #expect(try volume.fileSystem.crashTree() == expected)
        try volume.sync()
        let replayed = try volumes.open(SimulatedDisk(disk.certain), options)
        #expect(try replayed.fileSystem.crashTree() == expected)
        replayed.log.abandon()
        try volume.close()
        let closed = try volumes.open(SimulatedDisk(disk.certain), options)
        #expect(try closed.fileSystem.crashTree() == expected)
        #expect(try closed.check(deep: true).problems == [])
        closed.log.abandon()
    }

    /// A new directory is there after its parent's fsync, empty or with what was in it by then.
    @Test func mkdirThenFsyncOfTheParent() throws {
        let (disk, options) = try made()
        let volume = try volumes.open(disk, options)
        try volume.fileSystem.makeFolder("one")
        try volume.fileSystem.makeFolder("one/two")
        try volume.fileSystem.synchronize("one")
        let opened = try volumes.open(SimulatedDisk(disk.certain), options)
        #expect(try opened.fileSystem.find("one/two").type == .directory)
        #expect(try opened.check(deep: true).problems == [])
        opened.log.abandon()
        volume.log.abandon()
    }

    /// Power fails at any point of making a volume: there is none, and one can be made, or there is one and it is whole. So it is when power
    /// fails while what was left of the first making is cleared away.
    @Test func aHeaderIsNeverThereWithoutContent() throws {
        let disk = SimulatedDisk()
        try volumes.create(disk, volumes.options(state))
        let isFull = getenv("EFS_TEST_FULL") != nil
        let plan = isFull ? PowerCutPlan.thorough : PowerCutPlan()
        var seen: Set<[UInt64]> = []
        var whole = 0
        try disk.forEachPowerCut(plan) { cut in
            guard seen.insert(cut.key).inserted else { return }
            let left = SimulatedDisk(cut.image)
            if try isWhole(left, cut.description) {
                whole += 1
                return
            }
            try makeAgain(left, cut.description)
            guard seen.count % (isFull ? 5 : 40) == 0 else { return }
            var again: Set<[UInt64]> = []
            var plan = PowerCutPlan()
            plan.tears = false
            try left.forEachPowerCut(plan) { second in
                guard again.insert(second.key).inserted else { return }
                let place = "\(cut.description), then \(second.description)"
                let left = SimulatedDisk(second.image)
                if try !isWhole(left, place) { try makeAgain(left, place) }
            }
        }
        #expect(whole > 0 && seen.count > whole)
    }

    private func makeAgain(_ disk: SimulatedDisk, _ place: String) throws {
        do {
            try volumes.create(disk, volumes.options(state))
            #expect(try isWhole(disk, place), "\(place)")
        } catch { Issue.record("\(place): cannot be made again: \(error)") }
    }

    /// Whether there is a volume; if there is, it must be whole.
    private func isWhole(_ disk: SimulatedDisk, _ place: String) throws -> Bool {
        try found.set([:])
        do {
            let volume = try volumes.open(disk, volumes.options(found))
            #expect(try volume.fileSystem.crashTree() == CrashTree(), "\(place)")
            #expect(try volume.check(deep: true).problems == [], "\(place)")
            volume.log.abandon()
            return true
        } catch {
            #expect((error as? Failure)?.kind == .notAVolume, "\(place): \(error)")
            return false
        }
    }

    /// The password is changed beside an open volume, and whoever does it fails before the new header's name is on the disk. A checkpoint
    /// that knew of this header and outlived it would make the volume a rolled back one.
    @Test func aCheckpointDoesNotOutliveTheHeaderThatItKnows() throws {
        let (disk, options) = try made()
        let volume = try volumes.open(disk, options)
        try volume.fileSystem.makeFile("a")
        try volume.checkpoint()
        disk.setFault { call, _ in call == .syncFolder ? .ioError : nil }
        let failure = #expect(throws: Failure.self) {
            try Volume.changePassword(
                in: disk.storage(), from: secret(DiskVolumes.passwords[0]), to: secret(DiskVolumes.passwords[1]), cost: .minimumForTests,
                options: options)
        }
        #expect(failure?.kind == .inputOutput)
        // With the fault still there, and when it is gone.
        for fault in [true, false] {
            if !fault { disk.setFault(nil) }
            try volume.checkpoint()
            let opened = try volumes.open(SimulatedDisk(disk.certain), options)
            #expect(try opened.fileSystem.find("a").type == .regular)
            opened.log.abandon()
        }
        volume.log.abandon()
    }

    /// All subsets of what is uncertain, at each point of a checkpoint, and its writes torn.
    @Test func aCheckpointIsCutInTheMiddle() throws {
        let run = try CrashRun(volumes, try CrashBase(volumes))
        for step in [CrashStep.write, .overwrite, .unlink, .checkpoint] { try run.run(step) }
        run.abandon()
        var plan = PowerCutPlan()
        plan.exhaustiveLimit = getenv("EFS_TEST_FULL") == nil ? 4 : 8
        plan.firstPoint = run.lastStepPoint
        var check = try CrashCheck(run, "a checkpoint")
        check.check(plan)
        #expect(check.recoveries > 20)
    }

    /// The clock goes back by years, before 1970 too, and jumps ahead: nothing but times depends on it.
    @Test func theClockIsSetBack() throws {
        let seconds = Atomic<Int64>(1_700_000_000)
        let (disk, options) = try made { $0.now = { Timestamp(seconds: seconds.load(ordering: .relaxed), nanoseconds: 5) } }
        var expected = CrashTree()
        for (number, time) in [1_700_000_000, 1_400_000_000, 3, -5_000_000, 9_000_000_000, 1_700_000_000].enumerated()
            as EnumeratedSequence<[Int64]>
        {
            seconds.store(time, ordering: .relaxed)
            let volume = try volumes.open(disk, options)
            #expect(try volume.fileSystem.crashTree() == expected)
            let bytes = [UInt8](repeating: UInt8(number + 1), count: 5000)
            try volume.fileSystem.makeFile("f\(number)")
            for path in (0...number).map({ "f\($0)" }) {
                let before = try volume.fileSystem.find(path)
                try volume.fileSystem.write(path, at: 0, bytes)
                let after = try volume.fileSystem.find(path)
                #expect(after.modificationTime.seconds == time && after.changeTime.seconds == time)
                #expect(after.changeCounter > before.changeCounter)
                expected.entries[path] = CrashTree.Entry(content: bytes, linkCount: 1, permissions: 0o644)
            }
            try volume.fileSystem.synchronize("f0")
            if number % 2 == 0 { try volume.close() } else { volume.log.abandon() }
            let left = try volumes.open(SimulatedDisk(disk.certain), options)
            #expect(try left.fileSystem.crashTree() == expected)
            #expect(try left.check(deep: true).problems == [])
            left.log.abandon()
        }
    }
}

extension [UInt8] {
    fileprivate mutating func setSize(_ size: Int) {
        if size < count { removeLast(count - size) } else { append(contentsOf: [UInt8](repeating: 0, count: size - count)) }
    }
}
