import ChunkStore
import FileSystem
import Glibc
import MetadataStore
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// Threads that do everything at once to the same few names and files, with a cleaner between them.
@Suite struct ConcurrencyTests {
    static let blockBytes = 512
    static let allowed: Set<Errno> = [
        .noSuchFileOrDirectory, .fileExists, .notDirectory, .isDirectory, .directoryNotEmpty, .invalidArgument, .staleNFSFileHandle,
        .notPermitted, .noSuchAddressOrDevice,
    ]

    /// What the threads share: complaints, and whether the cleaner may stop.
    final class Shared: Sendable {
        let complaints = Mutex<[String]>([])
        let working: Atomic<Int>
        init(_ count: Int) { working = Atomic(count) }
        func complain(_ text: String) { complaints.withLock { $0.append(text) } }
    }

    @Test(arguments: seeds(2, "concurrency"), [0, 2048])
    func allAtOnce(seed: UInt64, inlineLimit: Int) throws {
        let volume = try TestVolume(options: { options in
            options.inlineLimitBytes = inlineLimit
            options.batchRecordLimit = 20
            options.cachedInodeLimit = 0
            options.statesPreconditions = true
        })
        let threadCount = 4
        let shared = Shared(threadCount)
        var threads = (0..<threadCount).map { number in
            WorkerThread(name: "worker") {
                var worker = Worker(volume: volume, shared: shared, random: SeededRandom(seed: seed &+ UInt64(number)))
                for _ in 0..<1500 { worker.step() }
                worker.letGo()
                shared.working.subtract(1, ordering: .releasing)
            }
        }
        threads.append(
            WorkerThread(name: "cleaner") {
                while shared.working.load(ordering: .acquiring) > 0 { Self.clean(volume, shared) }
            })
        for thread in threads { thread.join() }
        #expect(shared.complaints.withLock { $0 } == [], "seed \(seed)")
        #expect(volume.log.all.map(\.description) == [], "seed \(seed)")
        #expect(try volume.fileSystem.checkInvariants(expectedLiveBytes: volume.metadata.liveBytes) == [], "seed \(seed)")
        #expect(volume.unclaimedSegments == [], "seed \(seed)")
        // Every inode that was held is forgotten: no orphan is left.
        #expect(try volume.fileSystem.recoverOrphans() == 0, "seed \(seed)")
    }

    /// Cleans a segment that nothing is on its way to, as the log does, and takes it away.
    private static func clean(_ volume: TestVolume, _ shared: Shared) {
        volume.chunks.closeSegment()
        guard let segment = volume.chunks.segments.first, volume.unclaimedBytes(segment) == 0 else { return }
        do throws(Failure) {
            for chunk in volume.chunks.chunks(of: segment) {
                _ = try volume.fileSystem.relocate(chunk.location, inode: InodeID(chunk.inode), fileOffset: chunk.fileOffset) {
                    (data, inode, offset) throws(Failure) in
                    try volume.chunks.write(data, inode: inode.rawValue, fileOffset: offset)
                }
            }
        } catch { shared.complain("cleaning: \(error)") }
        if volume.metadata.liveBytes[segment] != nil { shared.complain("segment \(segment) is not empty after cleaning") }
        volume.chunks.removeSegment(segment)
    }

    struct Worker {
        let volume: TestVolume
        let shared: Shared
        var random: SeededRandom
        var held: [InodeID] = []

        mutating func step() {
            do throws(Errno) { try perform() } catch {
                if !ConcurrencyTests.allowed.contains(error) { shared.complain("\(error)") }
            }
        }

        mutating func letGo() {
            for inode in held { volume.fileSystem.forget(inode, count: 1) }
            held = []
        }

        private mutating func name() -> Name { Array("n\(random.below(5))".utf8) }

        /// A directory that is there, or was a moment ago.
        private mutating func directory() throws(Errno) -> InodeID {
            var inode = InodeID.root
            for _ in 0..<random.below(3) {
                let found = try volume.lookup(inode, name())
                if found.type == .directory { inode = found.inode }
            }
            return inode
        }

        private mutating func file() throws(Errno) -> InodeID {
            if !held.isEmpty, random.chance(50) { return random.element(held) }
            let inode = try volume.lookup(try directory(), name(), retaining: true).inode
            held.append(inode)
            if held.count > 10 { volume.fileSystem.forget(held.removeFirst(), count: 1) }
            return inode
        }

        private mutating func perform() throws(Errno) {
            switch random.below(24) {
            case 0..<3: try volume.makeNode(try directory(), name())
            case 3: try volume.makeDirectory(try directory(), name())
            case 4..<6: try volume.unlink(try directory(), name())
            case 6: try volume.removeDirectory(try directory(), name())
            case 7..<10:
                let flags: RenameFlags = random.chance(30) ? .exchange : []
                try volume.rename(try directory(), name(), try directory(), name(), flags: flags)
            case 10: try volume.link(try file(), try directory(), name())
            case 11: try list(try directory())
            case 12: try volume.truncate(try file(), to: UInt64(random.below(20) * ConcurrencyTests.blockBytes))
            case 13:
                let offset = UInt64(random.below(20) * ConcurrencyTests.blockBytes)
                try volume.fileSystem.allocate(
                    try file(), offset: offset, length: UInt64(ConcurrencyTests.blockBytes * (1 + random.below(5))), mode: .punchHole)
            case 14: try volume.setXattr(try file(), name(), [1, 2, 3])
            case 15:
                let inode = try volume.fileSystem.makeUnnamed(try directory(), mode: 0o600, caller: TestVolume.caller).inode
                held.append(inode)
                if random.chance(50) { try volume.link(inode, try directory(), name()) }
            case 16..<20:
                let data = [UInt8](repeating: UInt8(1 + random.below(255)), count: ConcurrencyTests.blockBytes * (1 + random.below(5)))
                try volume.write(try file(), at: UInt64(random.below(20) * ConcurrencyTests.blockBytes), data)
            default: try read(try file())
            }
        }

        /// Every block was written whole, so it is of one value, whatever happens meanwhile.
        private func read(_ inode: InodeID) throws(Errno) {
            let content = try volume.read(inode, at: 0, count: 30 * ConcurrencyTests.blockBytes)
            for start in stride(from: 0, to: content.count, by: ConcurrencyTests.blockBytes) {
                let end = min(start + ConcurrencyTests.blockBytes, content.count)
                if !areEqual(Array(content[start..<end]), [UInt8](repeating: content[start], count: end - start)) {
                    shared.complain("a block of \(inode) at \(start) is torn")
                }
            }
        }

        private func list(_ directory: InodeID) throws(Errno) {
            let entries = try volume.list(directory, withAttributes: true, retaining: true)
            if Set(entries.map(\.name)).count != entries.count { shared.complain("a name is listed twice") }
            for entry in entries where entry.attributes != nil { volume.fileSystem.forget(entry.inode, count: 1) }
        }
    }

    /// Two threads move directories into each other: whatever they do, all can be reached from the root.
    @Test func directoriesMovedIntoEachOther() throws {
        let volume = try TestVolume()
        for name in ["n0", "n1", "n2", "n3"] { try volume.makeDirectory(.root, name) }
        let shared = Shared(0)
        let threads = (0..<4).map { number in
            WorkerThread(name: "mover") {
                var random = SeededRandom(seed: UInt64(number))
                for _ in 0..<1500 {
                    do throws(Errno) {
                        var from = InodeID.root
                        var to = InodeID.root
                        for _ in 0..<random.below(4) { from = try volume.lookup(from, "n\(random.below(4))").inode }
                        for _ in 0..<random.below(4) { to = try volume.lookup(to, "n\(random.below(4))").inode }
                        let (old, new) = (Array("n\(random.below(4))".utf8), Array("n\(random.below(4))".utf8))
                        try volume.rename(from, old, to, new, flags: random.chance(40) ? .exchange : .noReplace)
                    } catch {
                        if !Self.allowed.contains(error) { shared.complain("\(error)") }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(shared.complaints.withLock { $0 } == [])
        #expect(try volume.fileSystem.checkInvariants() == [])
        // None is lost.
        #expect(try volume.treeDescription().count == 4)
    }
}
