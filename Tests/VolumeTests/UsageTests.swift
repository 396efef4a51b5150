import FileSystem
import Glibc
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// Sums what it is told, per group.
private final class Sum: UsageObserver {
    let groups = Mutex<[UInt32: Int64]>([:])
    let unknown = Atomic<Int>(0)

    func usageChanged(_ inode: InodeID, from: FileShare?, to: FileShare?) {
        groups.withLock { groups in
            if let from { groups[from.group, default: 0] -= Int64(from.bytes) }
            if let to { groups[to.group, default: 0] += Int64(to.bytes) }
        }
    }

    func usageIsUnknown(_ inode: InodeID) { unknown.wrappingAdd(1, ordering: .relaxed) }

    var total: [UInt32: Int64] { groups.withLock { $0.filter { $0.value != 0 } } }
}

@Suite struct UsageTests {
    /// After every random operation the sum of the changes is what counting all inodes gives.
    @Test func theSumOfTheChangesIsWhatCountingGives() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        let seed = UInt64.random(in: 0 ... .max)
        var random = Generator(state: seed)
        let sum = Sum()
        var volume = try sandbox.open { $0.usageObserver = sum }
        for step in 0..<400 {
            try Self.change(volume.fileSystem, &random)
            if step % 20 == 0 { #expect(try Self.count(volume) == sum.total, "seed \(seed), step \(step)") }
        }
        #expect(try Self.count(volume) == sum.total, "seed \(seed)")
        #expect(sum.unknown.load(ordering: .relaxed) == 0)
        try volume.close()
        let left = volume.durableState
        volume = try sandbox.open()
        #expect(volume.openedState == left)
        #expect(try Self.count(volume) == sum.total, "seed \(seed)")
        try volume.close()
        // Opened and closed without a change it is the same state.
        #expect(volume.durableState == left)
    }

    @Test func anotherStateIsToldFromTheOneThatWasLeft() throws {
        let sandbox = try Sandbox()
        try sandbox.create()
        var volume = try sandbox.open()
        _ = try volume.fileSystem.make("a", [1])
        try volume.close()
        let left = volume.durableState
        volume = try sandbox.open()
        _ = try volume.fileSystem.make("b", [1])
        try volume.close()
        #expect(try sandbox.open().openedState != left)
    }

    private static func count(_ volume: Volume) throws -> [UInt32: Int64] {
        var groups: [UInt32: Int64] = [:]
        var cursor = InodeID(0)
        while let last = try volume.fileSystem.countUsage(
            after: cursor, below: InodeID(1 << 48), limit: 7,
            { (_, share) in groups[share.group, default: 0] += Int64(share.bytes) })
        { cursor = last }
        return groups.filter { $0.value != 0 }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 32) | (state << 32)
        }
    }

    private static func change(_ files: FileSystem, _ random: inout Generator) throws {
        let name = Array("f\(Int.random(in: 0..<12, using: &random))".utf8)
        let other = Array("f\(Int.random(in: 0..<12, using: &random))".utf8)
        let caller = Caller(uid: 0, gid: UInt32.random(in: 1...3, using: &random))
        let bytes = [UInt8](repeating: 1, count: Int.random(in: 0...9000, using: &random))
        let existing = try? name.withUnsafeBytes { try files.lookup(.root, $0, retaining: false).inode }
        switch Int.random(in: 0..<9, using: &random) {
        case 0, 1:
            let made = try files.makeUnnamed(.root, mode: 0o644, caller: caller).inode
            try bytes.withUnsafeBytes { try files.write(made, at: 0, from: $0) }
            _ = try name.withUnsafeBytes { try files.place(made, .root, $0) { _ in true } }
            files.forget(made, count: 1)
        case 2: _ = try? name.withUnsafeBytes { try files.makeNode(.root, $0, mode: 0o644, caller: caller, retaining: false) }
        case 3: if let existing { try bytes.withUnsafeBytes { try files.write(existing, at: 500, from: $0) } }
        case 4: try? name.withUnsafeBytes { try files.unlink(.root, $0) }
        case 5: try? name.withUnsafeBytes { old in try other.withUnsafeBytes { try files.rename(.root, old, to: .root, $0) } }
        case 6: if let existing { _ = try? other.withUnsafeBytes { try files.link(existing, .root, $0, retaining: false) } }
        case 7:
            guard let existing else { return }
            var changes = AttributeChanges()
            if bytes.count % 2 == 0 { changes.gid = caller.gid } else { changes.sizeBytes = UInt64(bytes.count) }
            _ = try files.setAttributes(existing, changes)
        default:
            // Deleted while somebody holds it.
            guard let existing else { return }
            try files.retain(existing)
            try? name.withUnsafeBytes { try files.unlink(.root, $0) }
            try bytes.withUnsafeBytes { try files.write(existing, at: 100, from: $0) }
            files.forget(existing, count: 1)
        }
    }
}
