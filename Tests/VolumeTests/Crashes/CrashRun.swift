import DiskSimulation
import Glibc
import KeyManagement
import LinuxTesting
import Synchronization
import Syscalls
import SystemPackage
import Tables

@testable import FileSystem
@testable import Log

/// One history of a volume on a simulated disk, with a model of what must be there after a power cut at any point. Used by one thread.
final class CrashRun {
    let volumes: DiskVolumes
    let disk: SimulatedDisk
    let options: VolumeOptions
    let state: StateDirectory
    private(set) var volume: Volume?
    private(set) var model: CrashModel
    /// What there was after each step; the first before all of them.
    private(set) var states: [CrashTree]
    private var models: [CrashModel]
    /// When each state's step began: before it, the state cannot be on the disk.
    private var began: [Int]
    /// From a point on, at least that state is on the disk.
    private(set) var promised: [(point: Int, state: Int)] = [(0, 0)]
    /// Passwords that were set, with the points at which that began and was done.
    private var passwords: [(number: Int, began: Int, done: Int)] = [(0, 0, 0)]
    /// What this machine remembered, from which point on.
    private var memories: [(point: Int, files: [String: [UInt8]])]
    /// The point before the last step.
    private(set) var lastStepPoint = 0
    private var pattern: UInt8 = 0

    /// - Parameter base: a volume that was closed in order, with what `model` says.
    init(_ volumes: DiskVolumes, _ base: CrashBase) throws {
        self.volumes = volumes
        state = try StateDirectory()
        disk = SimulatedDisk(base.image)
        options = volumes.options(state)
        model = base.model
        states = [base.model.tree]
        models = [base.model]
        began = [-1]
        memories = [(0, base.memory)]
        try state.set(base.memory)
        volume = try volumes.open(disk, options)
    }

    private var fileSystem: FileSystem {
        get throws(Errno) {
            guard let volume else { throw .badFileDescriptor }
            return volume.fileSystem
        }
    }

    // MARK: Steps

    /// Throws what fails against the model's expectation, as text.
    func run(_ step: CrashStep) throws {
        let (error, expected) = attempt(step)
        guard (error == nil) == expected else { throw CrashFailure("\(step.rawValue) gave \(error.map { "\($0)" } ?? "no error")") }
    }

    /// On a disk that fails: a step that fails has done nothing. Gives the error of a step that should have worked.
    func runFaulty(_ step: CrashStep) throws -> Errno? {
        let before = model
        let (error, expected) = attempt(step)
        guard let error else {
            if !expected { throw CrashFailure("\(step.rawValue) worked") }
            return nil
        }
        model = before
        model.goOn(as: states.count - 1)
        states[states.count - 1] = model.tree
        models[models.count - 1] = model
        // What the kernel still shows of it may never have reached the disk: another process cannot know.
        if step == .remount, !disk.hasDoubts { try restart() }
        return expected ? error : nil
    }

    private func attempt(_ step: CrashStep) -> (error: Errno?, expected: Bool) {
        lastStepPoint = disk.recordCount
        model.begin()
        began.append(lastStepPoint)
        let expected = apply(step, to: &model)
        states.append(model.tree)
        models.append(model)
        do throws(Errno) { try perform(step) } catch {
            note()
            return (error, expected)
        }
        promise(step)
        note()
        return (nil, expected)
    }

    /// The process is killed and another one opens the volume on a disk that works again: it goes back no further than was promised.
    func restart() throws {
        abandon()
        disk.setFault(nil)
        let opened = try volumes.open(disk, options)
        volume = opened
        let tree = try opened.fileSystem.crashTree()
        let allowed = allowed(disk.recordCount)
        guard let found = allowed.last(where: { states[$0] == tree }) else {
            throw CrashFailure("after a restart there is none of the states \(allowed): \(tree)")
        }
        model = models[found]
        model.goOn(as: states.count)
        states.append(tree)
        models.append(model)
        began.append(lastStepPoint)
        note()
    }

    private func nextBytes(_ count: Int) -> [UInt8] {
        pattern &+= 1
        return (0..<count).map { pattern &+ UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 251) }
    }

    private func apply(_ step: CrashStep, to model: inout CrashModel) -> Bool {
        switch step {
        case .create: return model.make("n", content: [])
        case .write: return model.write("b", at: 0, nextBytes(6000))
        case .overwrite: return model.write("a", at: 1000, nextBytes(3000))
        case .append: return model.content("b").map { model.write("b", at: $0.count, nextBytes(100)) } ?? false
        case .truncateDown: return model.truncate("a", to: 2500)
        case .truncateUp: return model.truncate("a", to: 20_000)
        case .renameOver: return model.rename("b", "a")
        case .link: return model.link("a", "d/l")
        case .unlink: return model.unlink("a")
        case .makeDirectory: return model.make("m", content: nil)
        case .syncFile: return model.node("a") != nil
        default: return true
        }
    }

    private func perform(_ step: CrashStep) throws(Errno) {
        let fileSystem = try fileSystem
        // The model has had its step: what it holds now is what is written.
        switch step {
        case .create: try fileSystem.makeFile("n")
        case .write: try fileSystem.write("b", at: 0, Array(model.content("b")?.prefix(6000) ?? []))
        case .overwrite: try fileSystem.write("a", at: 1000, Array(model.content("a")?.dropFirst(1000).prefix(3000) ?? []))
        case .append:
            let size = Int(try fileSystem.find("b").sizeBytes)
            try fileSystem.write("b", at: size, Array(model.content("b")?.dropFirst(size) ?? []))
        case .truncateDown: try fileSystem.truncate("a", to: 2500)
        case .truncateUp: try fileSystem.truncate("a", to: 20_000)
        case .renameOver: try fileSystem.rename("b", "a")
        case .link: try fileSystem.link("a", "d/l")
        case .unlink: try fileSystem.unlink("a")
        case .makeDirectory: try fileSystem.makeFolder("m")
        case .syncFile: try fileSystem.synchronize("a")
        case .syncDirectory: try fileSystem.synchronize("")
        default: try performOnVolume(step)
        }
    }

    private func performOnVolume(_ step: CrashStep) throws(Errno) {
        guard let volume else { throw .badFileDescriptor }
        do throws(Failure) {
            switch step {
            case .sync: try volume.sync()
            case .checkpoint: try volume.checkpoint()
            // As the background does: not before a head leads to this session.
            case .compact: while volume.log.hasSession.load(ordering: .relaxed), try volume.log.tree.compactIfNeeded(thorough: true) {}
            case .clean:
                volume.log.changes.withLock { volume.log.isShortOfRoom = true }
                try volume.log.maintain()
            case .changePassword: try changePassword()
            case .remount:
                try volume.close()
                self.volume = nil
                note()
                self.volume = try volumes.open(disk, options)
            default: preconditionFailure("the other steps are dealt with")
            }
        } catch { throw error.errno }
    }

    private func changePassword() throws(Failure) {
        let old = try volumes.unlock(Volume.readHeader(disk.storage())).password
        passwords.append((1 - old, disk.recordCount, .max))
        try Volume.changePassword(
            in: disk.storage(), from: secret(DiskVolumes.passwords[old]), to: secret(DiskVolumes.passwords[1 - old]),
            cost: .minimumForTests,
            options: options)
        passwords[passwords.count - 1].done = disk.recordCount
    }

    private func promise(_ step: CrashStep) {
        let state: Int? =
            switch step {
            case .syncFile: model.lastChange("a")
            case .syncDirectory: model.lastChange("")
            case .sync, .checkpoint, .remount: states.count - 1
            default: nil
            }
        if let state { promised.append((disk.recordCount, max(state, promised.last?.state ?? 0))) }
    }

    /// What is on stable storage is remembered at once: the most that the thread of the background may do.
    private func note() {
        if let log = volume?.log, log.hasSession.load(ordering: .relaxed) { log.options.didBecomeDurable(log.durable) }
        let files = state.files
        if memories.last?.files != files { memories.append((disk.recordCount, files)) }
    }

    /// Ends as a kill does.
    func abandon() {
        volume?.log.abandon()
        volume = nil
    }

    // MARK: What a power cut may leave

    /// The states that may be found after a power cut at that point.
    func allowed(_ point: Int) -> Range<Int> {
        let least = promised.last { $0.point <= point }?.state ?? 0
        let most = began.lastIndex { $0 < point } ?? 0
        return least..<max(most, least) + 1
    }

    func allowedPasswords(_ point: Int) -> [Int] {
        let last = passwords.lastIndex { $0.done <= point } ?? 0
        return passwords[last...].filter { $0.began <= point }.map(\.number)
    }

    /// The number of what this machine remembered at that point.
    func memoryNumber(_ point: Int) -> Int { memories.lastIndex { $0.point <= point } ?? 0 }
    func memory(_ number: Int) -> [String: [UInt8]] { memories[number].files }
}

struct CrashFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// The volume that every history begins with: files of all kinds, tables of two levels, segments with garbage.
struct CrashBase: Sendable {
    var image: DiskImage
    var model: CrashModel
    var memory: [String: [UInt8]]

    init(_ volumes: DiskVolumes) throws {
        let disk = SimulatedDisk()
        let state = try StateDirectory()
        let options = volumes.options(state)
        try volumes.create(disk, options)
        let volume = try volumes.open(disk, options)
        var model = CrashModel()
        func put(_ path: String, _ count: Int, _ pattern: UInt8) throws {
            let bytes = (0..<count).map { pattern &+ UInt8(truncatingIfNeeded: $0 &* 3 &+ $0 / 253) }
            if model.node(path) == nil {
                try volume.fileSystem.makeFile(path)
                _ = model.make(path, content: [])
            }
            try volume.fileSystem.write(path, at: 0, bytes)
            _ = model.write(path, at: 0, bytes)
        }
        try put("a", 9000, 1)
        try put("b", 300, 2)
        try volume.fileSystem.makeFolder("d")
        _ = model.make("d", content: nil)
        try put("d/c", 5000, 3)
        try volume.checkpoint()
        for round in 0..<4 {
            for number in 0..<5 { try put("x\(number)", 12_000, UInt8(10 + round * 5 + number)) }
            try volume.checkpoint()
        }
        for number in 1..<5 {
            try volume.fileSystem.unlink("x\(number)")
            _ = model.unlink("x\(number)")
        }
        try volume.close()
        image = disk.certain
        self.model = model
        memory = state.files
    }
}
