import FileSystem
import Glibc
import KeyManagement
import Sealing
import Syscalls
import Testing

/// Makes the golden volumes of a format, once, when the format is new: `EFS_MAKE_GOLDEN=DIRECTORY swift test --filter GoldenVolumeMaker`.
/// Those of a format that is out are never made again.
@Suite(.enabled(if: GoldenVolume.newDirectory != nil)) struct GoldenVolumeMaker {
    private let user = Caller(uid: 1000, gid: 1000)

    @Test func make() throws {
        let target = try #require(GoldenVolume.newDirectory)
        try DirectoryTree.withTemporary { temporary in
            let data = "\(temporary)/data"
            var options = VolumeOptions()
            options.accessTimes = .never
            options.stateDirectory = "\(temporary)/state"
            let password = GoldenVolume.secret(GoldenVolume.password)
            try Volume.create(at: data, suite: .aes256Gcm, password: password, cost: .minimumForTests, options: options)
            var volume = try Volume.open(at: data, password: password, options: options)
            try fill(volume.fileSystem)
            try volume.close()
            volume = try Volume.open(at: data, password: password, options: options)
            try change(volume.fileSystem)
            try save(volume.fileSystem, data, "\(target)/closed", closing: volume)
            volume = try Volume.open(at: data, password: password, options: options)
            try goOn(volume.fileSystem)
            try volume.sync()
            try save(volume.fileSystem, data, "\(target)/crashed", closing: nil)
            try volume.close()
        }
    }

    /// The listing, and a copy of the data directory: after closing, or as it stands in the middle of a session.
    private func save(_ fileSystem: FileSystem, _ data: String, _ target: String, closing: Volume?) throws {
        let lines = try Listing.lines(of: fileSystem)
        if let closing { try closing.close() }
        var files = try DirectoryTree.files(data)
        // Neither is part of a volume: a lock of the process, and room that is kept free.
        files["efs.lock"] = nil
        files["efs.reserve"] = nil
        for (name, bytes) in files where name.contains("/") {
            // What is allocated ahead of the log's end.
            let end = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
            if bytes.count - end >= 64 { files[name] = Array(bytes[..<end]) }
        }
        try DirectoryTree.write(files, to: target)
        try DirectoryTree.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: target + ".txt")
    }

    // MARK: What is in it

    private func fill(_ fileSystem: FileSystem) throws {
        let docs = try directory(fileSystem, .root, "docs")
        let deep = try directory(fileSystem, docs, "deep")
        try file(fileSystem, .root, "empty", [], mode: 0o600)
        try file(fileSystem, deep, "nested.txt", Array("hello, world\n".utf8), mode: 0o644)
        try file(fileSystem, .root, "run.sh", Array("#!/bin/sh\n".utf8), mode: 0o4755)
        try file(fileSystem, .root, "chunk.bin", pattern(20_001), mode: 0o640)
        let linked = try file(fileSystem, .root, "name-1", Array("two names".utf8), mode: 0o444)
        _ = try named("name-2") { try fileSystem.link(linked, docs, $0, retaining: false) }
        _ = try named("link") { name in
            try named("docs/deep/nested.txt") {
                try fileSystem.makeSymbolicLink(.root, name, target: $0, caller: user, retaining: false)
            }
        }
        try file(fileSystem, .root, String(repeating: "n", count: 255), [1, 2, 3], mode: 0o644)
        let latin = try ([0x63, 0x61, 0x66, 0xe9] as [UInt8]).withUnsafeBytes {
            try fileSystem.makeNode(.root, $0, mode: 0o644, caller: user, retaining: false).inode
        }
        try write(fileSystem, latin, Array("a name that is no UTF-8".utf8), at: 0)
        for (name, mode, device) in [("fifo", S_IFIFO, 0), ("socket", S_IFSOCK, 0), ("null", S_IFCHR, 0x103), ("disk", S_IFBLK, 0x800)] {
            _ = try named(name) {
                try fileSystem.makeNode(
                    .root, $0, mode: UInt32(mode) | 0o600, deviceNumber: UInt32(device), caller: Caller(uid: 0, gid: 0), retaining: false)
            }
        }
        let many = try directory(fileSystem, .root, "many")
        for number in 0..<150 { try file(fileSystem, many, "file-\(number)", Array("content of \(number)".utf8), mode: 0o644) }
    }

    private func change(_ fileSystem: FileSystem) throws {
        let chunk = try inode(fileSystem, .root, "chunk.bin")
        try write(fileSystem, chunk, Array("written over".utf8), at: 5000)
        try fileSystem.allocate(chunk, offset: 9000, length: 5000, mode: .punchHole)
        try set(fileSystem, chunk, "user.note", Array("an extended attribute".utf8))
        try set(fileSystem, chunk, "user.bytes", pattern(300))
        try set(fileSystem, chunk, "user.empty", [])
        let sparse = try file(fileSystem, .root, "sparse", pattern(100), mode: 0o644)
        try write(fileSystem, sparse, pattern(5000), at: 20 << 30)
        var size = AttributeChanges()
        size.sizeBytes = 1 << 40
        _ = try fileSystem.setAttributes(sparse, size)
        let reserved = try file(fileSystem, .root, "reserved", [], mode: 0o644)
        try fileSystem.allocate(reserved, offset: 0, length: 100_000, mode: .allocate(keepSize: false))
        for (name, seconds) in [("run.sh", Int64(-2_000_000_000)), ("empty", 20_000_000_000)] {
            var times = AttributeChanges()
            times.modificationTime = .at(Timestamp(seconds: seconds, nanoseconds: 999_999_999))
            times.accessTime = .at(Timestamp(seconds: seconds + 1, nanoseconds: 1))
            times.uid = 4_000_000_000
            _ = try fileSystem.setAttributes(try inode(fileSystem, .root, name), times)
        }
        let many = try inode(fileSystem, .root, "many")
        for number in stride(from: 0, to: 150, by: 3) { try named("file-\(number)") { try fileSystem.unlink(many, $0) } }
        try named("file-1") { old in try named("moved") { try fileSystem.rename(many, old, to: .root, $0) } }
    }

    /// What is in the log alone when the copy is made; with a file that is open and has no name.
    private func goOn(_ fileSystem: FileSystem) throws {
        let unnamed = try fileSystem.makeUnnamed(.root, mode: 0o600, caller: user)
        try write(fileSystem, unnamed.inode, pattern(5000), at: 0)
        try file(fileSystem, .root, "late", pattern(9000), mode: 0o644)
        try named("socket") { try fileSystem.unlink(.root, $0) }
        try fileSystem.synchronizeAll()
        try write(fileSystem, try inode(fileSystem, .root, "late"), Array("and later".utf8), at: 100)
    }

    // MARK: Shorthands

    private func named<R>(_ name: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try Array(name.utf8).withUnsafeBytes(body)
    }

    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 * $0) >> 7 ^ $0) } }

    private func inode(_ fileSystem: FileSystem, _ directory: InodeID, _ name: String) throws -> InodeID {
        try named(name) { try fileSystem.lookup(directory, $0, retaining: false).inode }
    }

    private func directory(_ fileSystem: FileSystem, _ parent: InodeID, _ name: String) throws -> InodeID {
        try named(name) { try fileSystem.makeDirectory(parent, $0, mode: 0o755, caller: user, retaining: false).inode }
    }

    @discardableResult
    private func file(_ fileSystem: FileSystem, _ parent: InodeID, _ name: String, _ content: [UInt8], mode: UInt32) throws -> InodeID {
        let made = try named(name) { try fileSystem.makeNode(parent, $0, mode: mode, caller: user, retaining: false).inode }
        try write(fileSystem, made, content, at: 0)
        return made
    }

    private func write(_ fileSystem: FileSystem, _ inode: InodeID, _ bytes: [UInt8], at offset: UInt64) throws {
        try bytes.withUnsafeBytes { try fileSystem.write(inode, at: offset, from: $0) }
    }

    private func set(_ fileSystem: FileSystem, _ inode: InodeID, _ name: String, _ value: [UInt8]) throws {
        try named(name) { name in
            try value.withUnsafeBytes { try fileSystem.setExtendedAttribute(inode, name, value: $0, mode: .create) }
        }
    }
}
