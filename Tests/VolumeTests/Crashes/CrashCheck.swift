import DiskSimulation
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// Recovers what power cuts left of a history and holds it against what is allowed.
struct CrashCheck {
    let run: CrashRun
    /// How to come here again.
    let place: String
    private let state: StateDirectory
    /// A key and what was remembered -> the state that was found, or nil if that failed and was told.
    private var found: [[UInt64]: Recovered?] = [:]
    private(set) var recoveries = 0
    /// Every so many recoveries the volume is written on, and its recovery cut short as well.
    var goesOnEvery = 4

    struct Recovered {
        var tree: CrashTree
        var password: Int
    }

    init(_ run: CrashRun, _ place: String) throws {
        self.run = run
        state = try StateDirectory()
        self.place = place
    }

    mutating func check(_ plan: PowerCutPlan) {
        run.disk.forEachPowerCut(plan) { cut in
            let memory = run.memoryNumber(cut.point)
            let key = cut.key + [UInt64(memory)]
            let known: Recovered?
            if let before = found[key] {
                known = before
            } else {
                known = recover(cut, memory)
                found[key] = known
            }
            guard let known else { return }
            let allowed = run.allowed(cut.point)
            #expect(
                allowed.contains { run.states[$0] == known.tree },
                "\(place), \(cut.description): not one of the states \(allowed): \(known.tree)")
            #expect(run.allowedPasswords(cut.point).contains(known.password), "\(place), \(cut.description): password \(known.password)")
        }
    }

    private mutating func recover(_ cut: PowerCut, _ memory: Int) -> Recovered? {
        recoveries += 1
        let place = "\(self.place), \(cut.description)"
        do {
            let disk = SimulatedDisk(cut.image)
            let (volume, recovered) = try open(disk, memory, place)
            if recoveries % goesOnEvery == 0 {
                try cutAgain(disk, memory, recovered, place)
                try goOn(volume, disk, recovered, place)
            }
            volume.log.abandon()
            return recovered
        } catch {
            Issue.record("\(place): \(error)")
            return nil
        }
    }

    /// Opens, reads everything, and checks.
    private func open(_ disk: SimulatedDisk, _ memory: Int, _ place: String) throws -> (Volume, Recovered) {
        try state.set(run.memory(memory))
        let volume = try run.volumes.open(disk, run.volumes.options(state))
        let tree = try volume.fileSystem.crashTree()
        let report = try volume.check(deep: true)
        #expect(report.problems == [], "\(place)")
        return (volume, Recovered(tree: tree, password: try run.volumes.unlock(volume.header).password))
    }

    /// A second power cut while the first is being recovered from leaves what the first did.
    private func cutAgain(_ disk: SimulatedDisk, _ memory: Int, _ before: Recovered, _ place: String) throws {
        var plan = PowerCutPlan()
        plan.exhaustiveLimit = 1
        plan.tears = false
        plan.samples = 1
        plan.seed = UInt64(recoveries)
        plan.stride = 2
        var seen: Set<[UInt64]> = []
        try disk.forEachPowerCut(plan) { cut in
            guard seen.insert(cut.key).inserted else { return }
            let place = "\(place), then \(cut.description)"
            let (volume, again) = try open(SimulatedDisk(cut.image), memory, place)
            #expect(again.tree == before.tree && again.password == before.password, "\(place): \(again.tree)")
            volume.log.abandon()
        }
    }

    /// The volume is written on and cleaned; what was synced then is there after a power cut that loses all else, and after an end in order.
    private func goOn(_ volume: Volume, _ disk: SimulatedDisk, _ before: Recovered, _ place: String) throws {
        var expected = before.tree
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 11) }
        try volume.fileSystem.makeFile("going on")
        try volume.fileSystem.write("going on", at: 0, bytes)
        expected.entries["going on"] = CrashTree.Entry(content: bytes, linkCount: 1, permissions: 0o644)
        try volume.fileSystem.synchronize("going on")
        volume.log.options.didBecomeDurable(volume.log.durable)
        volume.log.changes.withLock { volume.log.isShortOfRoom = true }
        try volume.log.maintain()
        let options = run.volumes.options(state) { $0.isReadOnly = true }
        let afterCut = try run.volumes.open(SimulatedDisk(disk.certain), options)
        #expect(try afterCut.fileSystem.crashTree() == expected, "\(place), after going on")
        try volume.close()
        let afterClosing = try run.volumes.open(SimulatedDisk(disk.certain), options)
        #expect(try afterClosing.fileSystem.crashTree() == expected, "\(place), after closing")
        #expect(try afterClosing.check(deep: true).problems == [], "\(place), after closing")
    }
}
