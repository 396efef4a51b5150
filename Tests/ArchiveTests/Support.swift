import ChunkStore
import FileSystem
import Glibc
import MetadataStore
import Sealing
import Syscalls
import SystemPackage
import Testing

@testable import Archive

/// Numbers from a seed that is printed: `EFS_TEST_SEED` replays them.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ what: String) {
        let given = getenv("EFS_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        state = given ?? SystemRandomNumberGenerator().first
        print("\(what): EFS_TEST_SEED=\(state) runs it again")
    }

    /// splitmix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}

extension SystemRandomNumberGenerator {
    fileprivate var first: UInt64 {
        var copy = self
        return copy.next()
    }
}

func secret(_ text: String) -> SecretBytes { Array(text.utf8).withBytes { SecretBytes(copying: $0) } }

func kind(_ body: () throws(Failure) -> Void) -> FailureKind? {
    do throws(Failure) { try body() } catch { return error.kind }
    return nil
}

/// All that a source gives, read in portions of one size.
func all(of source: any ByteSource, portion: Int = 1000) throws(Failure) -> [UInt8] {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: portion)
    while true {
        let count = try buffer.withMutableBytes { (buffer) throws(Failure) in try source.read(into: buffer) }
        result += buffer.prefix(count)
        if count < portion { return result }
    }
}

/// What a sink makes of bytes that come in portions of one size.
func made(_ bytes: [UInt8], portion: Int = 777, _ sink: (MemorySink) throws(Failure) -> any ByteSink) throws(Failure) -> [UInt8] {
    let output = MemorySink()
    let stage = try sink(output)
    var rest = bytes[...]
    while !rest.isEmpty {
        try stage.write(Array(rest.prefix(portion)))
        rest = rest.dropFirst(portion)
    }
    try stage.finish()
    #expect(output.isFinished)
    return output.bytes
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// A file system in memory.
func memoryFileSystem() throws(Failure) -> FileSystem {
    let metadata = MemoryMetadataStore()
    try FileSystem.format(metadata, owner: Caller(uid: 0, gid: 0), now: Timestamp(seconds: 1_700_000_000))
    return try FileSystem(
        metadata: metadata, chunks: MemoryChunkStore(),
        environment: FileSystemEnvironment(
            nameHash: { name in name.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } },
            capacity: { () throws(Failure) in VolumeCapacity(totalBytes: 1 << 40, availableBytes: 1 << 39) }, log: { _ in }))
}

/// An empty directory that goes with the object.
final class ScratchDirectory {
    let path: String

    init() throws(Errno) {
        var template = Array("/tmp/efs-archive-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno.current }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        let store = DirectoryStore(path) { _ in }
        if let own = try? store.destination() { try? Self.clear(own, store) }
        rmdir(path)
    }

    private static func clear(_ directory: OwnedDescriptor, _ store: DirectoryStore) throws(Failure) {
        for name in try store.names(in: directory, limit: .max) {
            if let inner = try? store.openDirectory(name, in: directory) {
                try clear(inner, store)
                try store.removeDirectory(name, in: directory)
            } else {
                try store.unlink(name, in: directory)
            }
        }
    }

    func write(_ bytes: [UInt8], to name: String) throws(Errno) -> String {
        let file = try OwnedDescriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC)
        try bytes.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        return "\(path)/\(name)"
    }

    func read(_ name: String) throws(Failure) -> [UInt8] {
        let file: OwnedDescriptor
        do throws(Errno) { file = try OwnedDescriptor.open("\(path)/\(name)", O_RDONLY) } catch {
            throw Failure(systemCall: "opening", object: name, error)
        }
        return try all(of: DescriptorSource(file, name: name))
    }

    var names: [String] {
        let store = DirectoryStore(path) { _ in }
        guard let own = try? store.destination(), let names = try? store.names(in: own, limit: .max) else { return ["?"] }
        return names.map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
}

/// What a tree holds, by path.
struct Snapshot: Equatable {
    struct Node: Equatable {
        var entry: ArchiveEntry
        var content: [UInt8]
    }

    var nodes: [[UInt8]: Node] = [:]

    init() {}

    /// Access times are left out, and maps of holes: what reads as zeros may be either.
    init(_ source: some TreeSource) throws(Failure) {
        while var entry = try source.next() {
            var content: [UInt8] = []
            if case .regular(let size, _) = entry.kind {
                content = [UInt8](repeating: 0, count: Int(size))
                let count = try content.withMutableBytes { (buffer) throws(Failure) in try source.read(at: 0, into: buffer) }
                #expect(count == content.count)
                entry.kind = .regular(sizeBytes: size, dataRanges: nil)
            }
            entry.accessTime = nil
            entry.extendedAttributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
            #expect(nodes[entry.path] == nil, "given twice: \(ArchiveEntry.display(entry.path))")
            nodes[entry.path] = Node(entry: entry, content: content)
        }
    }

    /// Which of several names of a file comes first is not said: all are counted as the file.
    var withoutOrderOfLinks: Snapshot {
        var result = self
        var groups: [[UInt8]: [[UInt8]]] = [:]
        for (path, node) in nodes { if case .hardLink(let target) = node.entry.kind { groups[target, default: [target]].append(path) } }
        for (target, paths) in groups {
            let first = paths.min { $0.lexicographicallyPrecedes($1) }!
            var file = nodes[target]!
            for path in paths {
                file.entry.path = path
                var link = file
                link.entry.kind = .hardLink(path: first)
                link.content = []
                link.entry.extendedAttributes = []
                result.nodes[path] = path == first ? file : link
            }
        }
        return result
    }
}
