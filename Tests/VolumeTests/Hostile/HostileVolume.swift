import BlobStorage
import DiskSimulation
import KeyManagement
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// A volume with every kind of structure, as it lay on its disk at several moments, and what it held then.
struct HostileVolume: Sendable {
    struct Moment: Sendable {
        /// The data directory's files by path.
        var files: [String: [UInt8]]
        var tree: CrashTree
        /// What the machine remembered.
        var memory: [String: [UInt8]]
    }

    let volumes: DiskVolumes
    /// Oldest first. Of the last two one was closed in order, the other one left as a crash leaves it.
    private(set) var moments: [Moment] = []
    /// Number of the moment at which the volume had been closed.
    private(set) var closed = 0

    init(_ volumes: DiskVolumes) throws {
        self.volumes = volumes
        let state = try StateDirectory()
        let disk = SimulatedDisk()
        let options = volumes.options(state)
        try volumes.create(disk, options)
        var volume = try volumes.open(disk, options)
        for round in 0..<3 {
            try write(volume, round)
            try volume.checkpoint()
            try note(volume, disk, state)
        }
        try volume.close()
        try note(volume, disk, state)
        closed = moments.count - 1
        volume = try volumes.open(disk, options)
        // A log that is replayed, over the end of a segment.
        for round in 3..<5 {
            try write(volume, round)
            try volume.sync()
            try note(volume, disk, state)
        }
        volume.log.abandon()
    }

    var newest: Moment { moments[moments.count - 1] }

    private func write(_ volume: Volume, _ round: Int) throws {
        let fileSystem = volume.fileSystem
        if round == 0 { try fileSystem.makeFolder("folder") }
        try fileSystem.makeFile("small \(round)")
        try fileSystem.write("small \(round)", at: 0, bytes(200, round))
        try fileSystem.makeFile("folder/large \(round)")
        try fileSystem.write("folder/large \(round)", at: 0, bytes(30_000, round + 50))
        // The same file again and again: an older copy of it would be noticed by nothing but its authentication.
        if round == 0 { try fileSystem.makeFile("same") }
        try fileSystem.write("same", at: 0, bytes(9000, round + 100))
        if round == 2 { try fileSystem.unlink("folder/large 0") }
    }

    private func bytes(_ count: Int, _ pattern: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 / 257 &+ pattern &* 31) }
    }

    private mutating func note(_ volume: Volume, _ disk: SimulatedDisk, _ state: StateDirectory) throws {
        volume.log.options.didBecomeDurable(volume.log.durable)
        moments.append(
            Moment(files: disk.certain.paths, tree: try volume.fileSystem.crashTree(), memory: state.files))
    }
}

/// Opens data directories that someone has changed, and says what came of it.
struct HostileProbe {
    let volumes: DiskVolumes
    /// What may be seen: each state whole.
    let allowed: [CrashTree]
    private let state: StateDirectory
    private(set) var refused = 0
    private(set) var unreadable = 0
    private(set) var harmless = 0

    init(_ volumes: DiskVolumes, allowed: [CrashTree]) throws {
        self.volumes = volumes
        self.allowed = allowed
        state = try StateDirectory()
    }

    enum Outcome { case refused, unreadable, harmless }

    /// `memory` is what the machine had seen. Everything is read, and checked; writing must not make anything of it, either.
    @discardableResult
    mutating func probe(_ files: [String: [UInt8]], memory: [String: [UInt8]], _ what: @autoclosure () -> String) throws -> Outcome {
        try state.set(memory)
        let reports = Mutex<[String]>([])
        let options = volumes.options(state) {
            $0.isReadOnly = true
            $0.report = { text in reports.withLock { $0.append(text) } }
        }
        do {
            let volume = try volumes.open(SimulatedDisk(DiskImage(files)), options)
            var lost: [(path: String, error: Errno)] = []
            let tree = try volume.fileSystem.crashTree { path, error in lost.append((path, error)) }
            _ = try volume.check(deep: true)
            if lost.isEmpty {
                #expect(allowed.contains(tree), "\(what()): wrong content: \(tree)")
                harmless += 1
                return .harmless
            }
            #expect(lost.allSatisfy { $0.error == .ioError }, "\(what()): \(lost)")
            let told = reports.withLock { $0 }
            let names = told.contains { $0.contains("segment ") || $0.contains("table ") || $0.contains("disk/") }
            #expect(names, "\(what()): nothing names the blob: \(told)")
            let isPart = allowed.contains { whole in tree.entries.allSatisfy { whole.entries[$0.key] == $0.value } }
            #expect(isPart, "\(what()): wrong content beside what cannot be read: \(tree)")
            unreadable += 1
            return .unreadable
        } catch let failure as Failure {
            let kinds: [FailureKind] = [.damaged, .rolledBack, .notAVolume, .newerFormat, .wrongPassword, .missing]
            #expect(kinds.contains(failure.kind), "\(what()): \(failure)")
            #expect(failure.object != nil && !failure.description.isEmpty, "\(what()): names nothing: \(failure)")
            refused += 1
            return .refused
        } catch {
            // The root directory itself, or the check.
            #expect(error as? Errno == .ioError, "\(what()): \(error)")
            unreadable += 1
            return .unreadable
        }
    }
}
