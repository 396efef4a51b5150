import BlobStorage
import DiskSimulation
import Glibc
import KeyManagement
import LinuxTesting
import Sealing
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// Storage that changes, cuts, exchanges, brings back and takes away: every file of a volume, closed in order and left by a crash, on a
/// machine that knows the newest state and on one that has seen nothing. Never other content, a trap or a hang; what is not harmless is
/// refused or unreadable, and says which blob. All bytes of the smaller files with `EFS_TEST_FULL`, else a choice by the seed.
@Suite struct HostileVolumeTests {
    private static let made: HostileVolume? = try? HostileVolume(DiskVolumes())
    private static let foreign: HostileVolume? = made.flatMap { try? HostileVolume($0.volumes) }
    private static var isFull: Bool { getenv("EFS_TEST_FULL") != nil }

    private let volume: HostileVolume

    init() throws { volume = try #require(Self.made) }

    /// The moments whose files are attacked: closed, and crashed.
    static let isClosed = [true, false]

    private func moment(_ isClosed: Bool) -> HostileVolume.Moment { isClosed ? volume.moments[volume.closed] : volume.newest }

    private func generator() -> SeededGenerator { SeededGenerator(seed: PowerCutTests.seed &+ 77) }

    private func makeProbe(_ isClosed: Bool, anyPast: Bool = false) throws -> HostileProbe {
        let moment = moment(isClosed)
        let past = volume.moments.prefix { $0.tree != moment.tree }.map(\.tree)
        return try HostileProbe(volume.volumes, allowed: (anyPast ? past : []) + [moment.tree])
    }

    /// Files that are authenticated: not the lock and the reserve.
    private func sealed(_ moment: HostileVolume.Moment) -> [String] {
        moment.files.keys.filter { $0 != "efs.lock" && $0 != "efs.reserve" }.sorted()
    }

    /// Places in a file: all of a small one, the edges and some of a large one.
    private func places(_ bytes: [UInt8], _ count: Int, _ random: inout SeededGenerator) -> [Int] {
        if bytes.count <= count { return Array(bytes.indices) }
        var places = Set((0..<8).map { $0 * 5 } + (1...8).map { bytes.count - $0 * 5 })
        while places.count < count { places.insert(Int.random(in: bytes.indices, using: &random)) }
        return places.filter { bytes.indices.contains($0) }.sorted()
    }

    // MARK: One file

    @Test(arguments: isClosed) func aChangedByte(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var random = generator()
        var probe = try makeProbe(isClosed)
        for name in sealed(moment) {
            let bytes = moment.files[name] ?? []
            for place in places(bytes, Self.isFull ? 9000 : 16, &random) {
                var files = moment.files
                files[name]?[place] ^= UInt8.random(in: 1...255, using: &random)
                try probe.probe(files, memory: moment.memory, "byte \(place) of \(name)")
            }
        }
        #expect(probe.refused > 10 && probe.unreadable > 10, "\(probe.refused), \(probe.unreadable), \(probe.harmless)")
    }

    @Test(arguments: isClosed) func filesThatAreCutOrGrow(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var random = generator()
        var probe = try makeProbe(isClosed)
        for name in sealed(moment) {
            let bytes = moment.files[name] ?? []
            var sizes = Set(
                [0, 1, 40, 512, 4096, bytes.count / 2, bytes.count - 16, bytes.count - 1].filter { $0 >= 0 && $0 < bytes.count })
            for edge in stride(from: 512, to: bytes.count, by: Self.isFull ? 512 : 8192) { sizes.insert(edge) }
            for size in sizes.sorted() {
                var files = moment.files
                files[name] = Array(bytes[..<size])
                try probe.probe(files, memory: moment.memory, "\(name) cut to \(size) of \(bytes.count)")
            }
            for more in [1, 16, 4096] {
                for isZero in [true, false] {
                    var files = moment.files
                    files[name] = bytes + (0..<more).map { _ in isZero ? 0 : UInt8.random(in: 0...255, using: &random) }
                    try probe.probe(files, memory: moment.memory, "\(name) and \(more) bytes more")
                }
            }
        }
        #expect(probe.refused > 5 && probe.unreadable > 5)
    }

    @Test(arguments: isClosed) func filesThatBecomeZeros(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var probe = try makeProbe(isClosed)
        for name in sealed(moment) {
            let count = moment.files[name]?.count ?? 0
            for range in [0..<count, 0..<min(512, count), max(0, count - 512)..<count, count / 2..<min(count, count / 2 + 4096)] {
                var files = moment.files
                files[name]?.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
                try probe.probe(files, memory: moment.memory, "zeros in \(name), \(range) of \(count)")
            }
        }
        #expect(probe.refused > 5 && probe.unreadable > 2)
    }

    @Test(arguments: isClosed) func filesThatAreMissing(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var probe = try makeProbe(isClosed)
        let names = sealed(moment)
        for (index, name) in names.enumerated() {
            var files = moment.files
            files[name] = nil
            try probe.probe(files, memory: moment.memory, "without \(name)")
            for other in names[(index + 1)...] {
                files[other] = nil
                try probe.probe(files, memory: moment.memory, "without \(name) and \(other)")
                files[other] = moment.files[other]
            }
        }
        #expect(probe.refused > 5 && probe.unreadable > 2)
    }

    // MARK: Two files

    @Test(arguments: isClosed) func filesThatChangePlacesOrAreDoubled(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var probe = try makeProbe(isClosed)
        var random = generator()
        let names = sealed(moment)
        for (index, one) in names.enumerated() {
            for other in names[(index + 1)...] where Self.isFull || Int.random(in: 0..<4, using: &random) == 0 {
                var files = moment.files
                files[one] = moment.files[other]
                try probe.probe(files, memory: moment.memory, "\(other) in the place of \(one)")
                files[other] = moment.files[one]
                try probe.probe(files, memory: moment.memory, "\(one) and \(other) exchanged")
                files[one] = moment.files[one]
                try probe.probe(files, memory: moment.memory, "\(one) in the place of \(other)")
            }
            // Under a name of its own as well.
            for copy in ["0000/00000000000000000000000000ab", "efs.volume.new", "efs.volume.new.1", "efs.head.1"] {
                var files = moment.files
                files[copy] = moment.files[one]
                let outcome = try probe.probe(files, memory: moment.memory, "\(one) also as \(copy)")
                #expect(outcome == .harmless, "\(one) also as \(copy)")
            }
        }
        #expect(probe.refused > 5 && probe.unreadable > 2)
    }

    @Test(arguments: isClosed) func blocksThatChangePlaces(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var random = generator()
        var probe = try makeProbe(isClosed)
        let names = sealed(moment)
        for number in 0..<(Self.isFull ? 4000 : 120) {
            let one = names.randomElement(using: &random) ?? ""
            let other = number % 2 == 0 ? one : names.randomElement(using: &random) ?? ""
            guard let first = moment.files[one], let second = moment.files[other] else { continue }
            // What is sealed as one: a sector, a block with its tag, a slot of the head, a frame's header.
            let size = min([40, 512, 4096, 4112].randomElement(using: &random) ?? 512, first.count, second.count)
            let step = [1, 512, 4096, 4112].randomElement(using: &random) ?? 1
            let from = Int.random(in: 0...(first.count - size) / step, using: &random) * step
            let to = Int.random(in: 0...(second.count - size) / step, using: &random) * step
            var files = moment.files
            files[one]?.replaceSubrange(from..<from + size, with: second[to..<to + size])
            if one != other || from + size <= to || to + size <= from {
                files[other]?.replaceSubrange(to..<to + size, with: first[from..<from + size])
            }
            try probe.probe(files, memory: moment.memory, "\(size) bytes of \(one) at \(from) and of \(other) at \(to)")
        }
    }

    // MARK: The past

    /// A machine that has seen the newest state takes nothing older; whoever has seen nothing sees one of the states there were, whole, or
    /// what cannot be read.
    @Test(arguments: isClosed) func olderCopiesOfFiles(isClosed: Bool) throws {
        let moment = moment(isClosed)
        var random = generator()
        var probe = try makeProbe(isClosed)
        var stranger = try makeProbe(isClosed, anyPast: true)
        for (age, old) in volume.moments[..<(isClosed ? volume.closed : volume.moments.count - 1)].enumerated()
        where old.tree != moment.tree {
            let differing = Set(old.files.keys).union(moment.files.keys).filter { old.files[$0] != moment.files[$0] }.sorted()
            var choices = differing.map { [$0] } + [differing]
            for _ in 0..<(Self.isFull ? 200 : 12) { choices.append(differing.filter { _ in Bool.random(using: &random) }) }
            for choice in choices {
                var files = moment.files
                for name in choice { files[name] = old.files[name] }
                try probe.probe(files, memory: moment.memory, "as of moment \(age): \(choice)")
                try stranger.probe(files, memory: [:], "as of moment \(age), never seen: \(choice)")
            }
            // All of it, to the last byte.
            let outcome = try probe.probe(old.files, memory: moment.memory, "all as of moment \(age)")
            #expect(outcome == .refused, "all as of moment \(age)")
            let state = try StateDirectory()
            try state.set(moment.memory)
            let accepted = volume.volumes.options(state) { $0.acceptsRollback = true }
            let opened = try volume.volumes.open(SimulatedDisk(DiskImage(old.files)), accepted)
            #expect(try opened.fileSystem.crashTree() == old.tree, "accepted as of moment \(age)")
            opened.log.abandon()
        }
        #expect(probe.refused > 10)
    }

    /// Files are copied one after the other while the volume is written: each as of its own moment, later ones no older; perhaps one is
    /// missing, or older than all others.
    @Test func copiesThatWereMadeMeanwhile() throws {
        var random = generator()
        let moments = volume.moments
        var probe = try HostileProbe(volume.volumes, allowed: moments.map(\.tree))
        for number in 0..<(Self.isFull ? 3000 : 120) {
            let names = Set(moments.flatMap { $0.files.keys }).sorted().shuffled(using: &random)
            var files: [String: [UInt8]] = [:]
            var at = 0
            var order: [String] = []
            for name in names {
                if at < moments.count - 1, Int.random(in: 0..<names.count, using: &random) < 4 { at += 1 }
                files[name] = moments[at].files[name]
                order.append("\(name)@\(at)")
            }
            if number % 3 == 1, let name = names.randomElement(using: &random) { files[name] = nil }
            if number % 3 == 2, let name = names.randomElement(using: &random) { files[name] = moments[0].files[name] }
            try probe.probe(files, memory: [:], "copy \(number): \(order)")
        }
        #expect(probe.harmless > 0 && probe.refused > 0, "\(probe.refused), \(probe.unreadable), \(probe.harmless)")
    }

    // MARK: Another volume with the same password

    @Test(arguments: isClosed) func filesOfAnotherVolume(isClosed: Bool) throws {
        let moment = moment(isClosed)
        let other = try #require(Self.foreign).newest
        var probe = try makeProbe(isClosed)
        for name in sealed(moment) {
            for (foreign, bytes) in other.files {
                var files = moment.files
                files[name] = bytes
                try probe.probe(files, memory: moment.memory, "the other volume's \(foreign) in the place of \(name)")
            }
        }
        // The other volume's header and blobs beside this one's, and the reverse.
        var mixed = moment.files.merging(other.files) { mine, _ in mine }
        #expect(try probe.probe(mixed, memory: moment.memory, "both") == .harmless)
        mixed["efs.volume"] = other.files["efs.volume"]
        #expect(try probe.probe(mixed, memory: moment.memory, "both, with the other's header") == .refused)
        mixed = moment.files.merging(other.files) { mine, _ in mine }
        mixed["efs.head.0"] = other.files["efs.head.0"]
        #expect(try probe.probe(mixed, memory: moment.memory, "both, with the other's head") == .refused)
        #expect(probe.refused > 5 && probe.unreadable > 2)
    }

    // MARK: Sizes

    /// No size of a file makes it be read as a whole.
    @Test func hugeFilesAreNotTakenIntoMemory() throws {
        let sandbox = try Sandbox()
        for (name, bytes) in volume.newest.files {
            if let folder = name.firstIndex(of: "/") { sandbox.run("mkdir", "-p", sandbox.data + "/" + name[..<folder]) }
            sandbox.run("mkdir", "-p", sandbox.data)
            try writeFile(sandbox.data + "/" + name, bytes)
        }
        var options = sandbox.options
        options.isReadOnly = true
        for name in sealed(volume.newest) {
            let path = sandbox.data + "/" + name
            let file = try OwnedDescriptor.open(path, O_RDWR)
            try file.truncate(to: 1 << 40)
            do {
                let opened = try Volume.open(at: sandbox.data, password: secret(DiskVolumes.passwords[0]), options: options)
                #expect(try opened.fileSystem.crashTree() == volume.newest.tree, "\(name)")
                opened.log.abandon()
            } catch { #expect((error as? Failure)?.kind == .damaged || error as? Errno == .ioError, "\(name): \(error)") }
            try writeFile(path, volume.newest.files[name] ?? [])
        }
        var usage = rusage()
        // RUSAGE_SELF, which comes as another type than the call takes.
        getrusage(0, &usage)
        #expect(usage.ru_maxrss < 4 << 20, "\(usage.ru_maxrss) KiB")
    }
}
