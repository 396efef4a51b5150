import FileSystem
import Glibc
import Syscalls
import SystemPackage

@testable import Archive

/// Trees with one of everything, to be put into a store.
enum SampleTree {
    struct Part {
        var entry: ArchiveEntry
        /// Pieces of a file's content and where they are.
        var pieces: [(offset: UInt64, bytes: [UInt8])] = []
    }

    static func parts(_ random: inout SeededRandom) -> [Part] {
        var parts: [Part] = [Part(entry: entry("", .directory, 0o755))]
        parts.append(Part(entry: entry("empty", .directory, 0o2750)))
        parts.append(file("small.txt", Array("Hello, World!\n".utf8)))
        parts.append(file("nothing", []))
        parts.append(file("large", random.bytes(3 << 20 | 123)))
        for count in [511, 512, 513, 65_535, 65_536, 65_537, 131_072] { parts.append(file("size-\(count)", random.bytes(count))) }
        parts.append(Part(entry: entry("a", .directory)))
        parts.append(Part(entry: entry("a/b", .directory, 0o500)))
        parts.append(file("a/b/deep", random.bytes(100), 0o4755))
        parts.append(Part(entry: entry("a/link", .symbolicLink(target: Array("../no/such place".utf8)))))
        parts.append(Part(entry: entry("a/hard", .hardLink(path: Array("large".utf8)))))
        parts.append(Part(entry: entry("a/b/hard", .hardLink(path: Array("large".utf8)))))
        parts.append(Part(entry: entry("fifo", .fifo)))
        var attributed = file("attributed", random.bytes(10))
        attributed.entry.extendedAttributes = [
            .init(name: Array("user.empty".utf8), value: []), .init(name: Array("user.binary".utf8), value: [0, 1, 10, 255, 0, 61]),
        ]
        parts.append(attributed)
        parts.append(sparse("sparse", 8 << 20, [(1 << 20, random.bytes(70_000)), (5 << 20, random.bytes(4096))]))
        parts.append(sparse("hole", 3 << 20, []))
        parts.append(sparse("sparse end", 4 << 20, [((4 << 20) - 4096, random.bytes(4096))]))
        parts.append(Part(entry: entry(Array("nämë \u{1F600}\n".utf8) + [0xFF, 0xFE], .directory)))
        parts.append(Part(entry: entry(Array("bad \u{7F}".utf8) + [0xC3], .regular(sizeBytes: 0, dataRanges: nil))))
        let long = String(repeating: "n", count: 255)
        parts.append(Part(entry: entry(long, .directory)))
        parts.append(file("\(long)/\(long)", random.bytes(5)))
        return parts
    }

    /// What only root can make.
    static var devices: [Part] {
        [
            Part(entry: entry("null", .characterDevice(major: 1, minor: 3), 0o666)),
            Part(entry: entry("disk", .blockDevice(major: 259, minor: 65_537), 0o660)),
        ]
    }

    private static func file(_ path: String, _ content: [UInt8], _ permissions: UInt32 = 0o640) -> Part {
        Part(entry: entry(path, .regular(sizeBytes: UInt64(content.count), dataRanges: nil), permissions), pieces: [(0, content)])
    }

    private static func sparse(_ path: String, _ size: UInt64, _ pieces: [(offset: UInt64, bytes: [UInt8])]) -> Part {
        Part(entry: entry(path, .regular(sizeBytes: size, dataRanges: nil)), pieces: pieces)
    }

    private static func entry(_ path: String, _ kind: ArchiveEntry.Kind, _ permissions: UInt32 = 0o755) -> ArchiveEntry {
        entry(Array(path.utf8), kind, permissions)
    }

    private static func entry(_ path: [UInt8], _ kind: ArchiveEntry.Kind, _ permissions: UInt32 = 0o755) -> ArchiveEntry {
        var entry = ArchiveEntry(path: path, kind: kind)
        entry.permissions = permissions
        if case .symbolicLink = kind { entry.permissions = 0o777 }
        entry.uid = geteuid() == 0 ? 1234 : geteuid()
        entry.gid = geteuid() == 0 ? 4321 : getegid()
        entry.modificationTime = Timestamp(seconds: 1_234_567_890 + Int64(path.count), nanoseconds: 123_456_789)
        if case .hardLink(let target) = kind {
            entry.permissions = 0o640
            entry.modificationTime = Timestamp(seconds: 1_234_567_890 + Int64(target.count), nanoseconds: 123_456_789)
        }
        return entry
    }

    static func put(_ parts: [Part], into store: some TreeStore) throws(Failure) {
        let restorer = try TreeRestorer(store)
        for part in parts {
            try restorer.add(part.entry)
            for piece in part.pieces where !piece.bytes.isEmpty {
                try piece.bytes.withBytes { (bytes) throws(Failure) in try restorer.write(bytes, at: piece.offset) }
            }
        }
        try restorer.commit()
    }
}
