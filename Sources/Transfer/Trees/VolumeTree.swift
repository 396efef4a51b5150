public import Client
public import FileSystem
import Glibc
import NIOCore
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// The files of a volume that this process has opened. The engine waits for storage, so its calls run on threads of their own.
public final class VolumeTree: Tree {
    private let volume: Volume
    private var files: FileSystem { volume.fileSystem }
    private let caller: Caller

    public init(_ volume: Volume) {
        self.volume = volume
        let mask = umask(0)
        umask(mask)
        caller = Caller(uid: getuid(), gid: getgid(), umask: mask)
    }

    public func display(_ path: RemotePath) -> String { "\(volume.path):\(path)" }

    /// Runs engine calls; an error number becomes a failure that names the path.
    private func run<R: Sendable>(
        _ what: String, _ path: RemotePath, _ body: @escaping @Sendable (FileSystem) throws(Errno) -> R
    ) async throws -> R {
        let (files, name) = (self.files, display(path))
        return try await BlockingCalls.run {
            do throws(Errno) { return try body(files) } catch .directoryNotEmpty {
                throw Failure(.conflict, "the directory is not empty", object: name, hint: "-r removes what is in it")
            } catch .ioError {
                throw Failure(
                    .damaged, "\(what) failed: something of the volume does not verify", object: name, hint: "'efs check' says what")
            } catch { throw Failure(systemCall: what, object: name, error) }
        }
    }

    // MARK: Looking

    private static func lookup(_ files: FileSystem, _ path: RemotePath) throws(Errno) -> Attributes {
        var found = try files.attributes(.root)
        for name in path.components {
            found = try name.withBytes { (name) throws(Errno) in try files.lookup(found.inode, name, retaining: false) }
        }
        return found
    }

    private static func entry(_ attributes: Attributes, _ name: [UInt8]) -> TreeEntry {
        let kind: Entry.Kind =
            switch attributes.type {
            case .regular: .file
            case .directory: .directory
            case .symbolicLink: .symlink
            default: .other
            }
        return TreeEntry(
            name: name, kind: kind, size: kind == .file ? attributes.sizeBytes : 0, modified: attributes.modificationTime.seconds,
            modifiedNanoseconds: attributes.modificationTime.nanoseconds, mode: attributes.permissions,
            version: "\(attributes.inode.rawValue)-\(attributes.changeCounter)", target: nil)
    }

    public func entry(_ path: RemotePath) async throws -> TreeEntry? {
        try await run("looking up", path) { (files) throws(Errno) in
            do throws(Errno) {
                let attributes = try Self.lookup(files, path)
                var entry = Self.entry(attributes, path.name)
                if entry.kind == .symlink { entry.target = try Self.target(files, attributes.inode) }
                return entry
            } catch {
                if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
                throw error
            }
        }
    }

    private static func target(_ files: FileSystem, _ inode: InodeID) throws(Errno) -> String {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try bytes.withMutableBytes { (buffer) throws(Errno) in try files.readSymbolicLink(inode, into: buffer) }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    public func list(_ path: RemotePath, _ visit: ([TreeEntry]) async throws -> Void) async throws {
        let directory = try await run("looking up", path) { (files) throws(Errno) in try Self.lookup(files, path).inode }
        var cookie: UInt64 = 2  // behind "." and ".."
        while true {
            let from = cookie
            let (page, last) = try await run("listing", path) { (files) throws(Errno) in
                var page: [TreeEntry] = []
                var last = from
                try files.listDirectory(directory, after: from, withAttributes: true, retaining: false) { entry in
                    if page.count == 1000 { return false }
                    last = entry.cookie
                    if let attributes = entry.attributes { page.append(Self.entry(attributes, Array(entry.name))) }
                    return true
                }
                return (page, last)
            }
            if page.isEmpty { return }
            cookie = last
            try await visit(page)
        }
    }

    // MARK: Contents

    public func read<R: Sendable>(
        _ path: RemotePath, _ range: Range<UInt64>?, version: String?, _ receive: @escaping @Sendable (any ChunkSource) async throws -> R
    ) async throws -> R {
        let attributes = try await run("opening", path) { (files) throws(Errno) in
            let attributes = try Self.lookup(files, path)
            if attributes.type == .directory { throw .isDirectory }
            try files.retain(attributes.inode)
            return attributes
        }
        defer { files.forget(attributes.inode, count: 1) }
        if let version, Self.entry(attributes, []).version != version {
            throw Failure(.conflict, "the file changed meanwhile", object: display(path))
        }
        return try await receive(VolumeChunks(files, attributes.inode, display(path), range ?? 0..<attributes.sizeBytes))
    }

    /// A file without a name is filled, made durable, and then takes the place of what is there; a crash before leaves nothing.
    public func write(
        _ path: RemotePath, size: UInt64, attributes: FileAttributes, resumeKey: String?, _ content: FileContent
    ) async throws {
        guard !path.isRoot else { throw Failure(.conflict, "this is a directory", object: display(path)) }
        try await makeDirectory(path.parent)
        let (caller, files) = (self.caller, self.files)
        let mode = (attributes.mode ?? 0o666) & 0o777 & ~caller.umask
        let (directory, inode) = try await run("creating", path) { (files) throws(Errno) in
            let directory = try Self.lookup(files, path.parent).inode
            return (directory, try files.makeUnnamed(directory, mode: mode, caller: caller).inode)
        }
        defer { files.forget(inode, count: 1) }
        let place = Atomic<UInt64>(0)
        try await content.send(0..<size) { [self] piece in
            let at = place.load(ordering: .relaxed)
            try await run("writing", path) { (files) throws(Errno) in try Self.write(files, inode, at, piece) }
            place.store(at + UInt64(piece.readableBytes), ordering: .relaxed)
        }
        guard place.load(ordering: .relaxed) == size else {
            throw Failure(.conflict, "the source changed meanwhile", object: display(path))
        }
        try await run("writing", path) { (files) throws(Errno) in
            if let seconds = attributes.modified {
                var changes = AttributeChanges()
                changes.modificationTime = .at(Timestamp(seconds: seconds, nanoseconds: attributes.modifiedNanoseconds))
                _ = try files.setAttributes(inode, changes)
            }
            try Self.place(files, inode, directory, path.name)
        }
    }

    private static func write(_ files: FileSystem, _ inode: InodeID, _ offset: UInt64, _ piece: ByteBuffer) throws(Errno) {
        var cause: Errno?
        piece.withUnsafeReadableBytes { bytes in
            do throws(Errno) { try files.write(inode, at: offset, from: bytes) } catch { cause = error }
        }
        if let cause { throw cause }
    }

    /// Gives the unnamed file its name at once if that is free, else by way of a name of its own, since link never replaces.
    private static func place(_ files: FileSystem, _ inode: InodeID, _ directory: InodeID, _ name: [UInt8]) throws(Errno) {
        try name.withBytes { (name) throws(Errno) in
            do throws(Errno) {
                _ = try files.link(inode, directory, name, retaining: false)
                return
            } catch { if error != .fileExists { throw error } }
            if try files.lookup(directory, name, retaining: false).type == .directory { throw .isDirectory }
            let other = Array(".\(Hexadecimal.encode(RandomSource.system.bytes(count: 8))).efs-part".utf8)
            try other.withBytes { (other) throws(Errno) in
                _ = try files.link(inode, directory, other, retaining: false)
                do throws(Errno) { try files.rename(directory, other, to: directory, name) } catch {
                    try? files.unlink(directory, other)
                    throw error
                }
            }
        }
    }

    // MARK: Names

    public func makeDirectory(_ path: RemotePath) async throws {
        let caller = self.caller
        try await run("making a directory", path) { (files) throws(Errno) in
            var directory = InodeID.root
            for name in path.components {
                directory = try name.withBytes { (name) throws(Errno) in
                    do throws(Errno) {
                        let found = try files.lookup(directory, name, retaining: false)
                        if found.type != .directory { throw .notDirectory }
                        return found.inode
                    } catch {
                        guard error == .noSuchFileOrDirectory else { throw error }
                        do throws(Errno) {
                            return try files.makeDirectory(directory, name, mode: 0o777 & ~caller.umask, caller: caller, retaining: false)
                                .inode
                        } catch {
                            // Another task of this process made it.
                            guard error == .fileExists else { throw error }
                            return try files.lookup(directory, name, retaining: false).inode
                        }
                    }
                }
            }
        }
    }

    public func remove(_ path: RemotePath, recursive: Bool) async throws {
        guard !path.isRoot else { throw Failure(.usage, "the root of a volume cannot be removed", object: display(path)) }
        let type = try await run("looking up", path) { (files) throws(Errno) in try Self.lookup(files, path).type }
        if recursive, type == .directory {
            while true {
                // From the start each time: what was shown is gone.
                var children: [[UInt8]] = []
                try await list(path) { page in if children.count < 10_000 { children += page.map(\.name) } }
                if children.isEmpty { break }
                for child in children { try await remove(path.appending(child), recursive: true) }
            }
        }
        try await run("removing", path) { (files) throws(Errno) in
            let directory = try Self.lookup(files, path.parent).inode
            try path.name.withBytes { (name) throws(Errno) in
                if type == .directory { try files.removeDirectory(directory, name) } else { try files.unlink(directory, name) }
            }
        }
    }

    public func move(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws {
        try await makeDirectory(to.parent)
        try await run("moving", from) { (files) throws(Errno) in
            let old = try Self.lookup(files, from.parent).inode
            let new = try Self.lookup(files, to.parent).inode
            try from.name.withBytes { (oldName) throws(Errno) in
                try to.name.withBytes { (newName) throws(Errno) in
                    try files.rename(old, oldName, to: new, newName, flags: overwrite ? [] : .noReplace)
                }
            }
        }
    }

    public func close() async throws {
        let volume = self.volume
        try await BlockingCalls.run { try volume.close() }
    }
}

private final class VolumeChunks: ChunkSource {
    private let files: FileSystem
    private let inode: InodeID
    private let name: String
    private var rest: Range<UInt64>

    init(_ files: FileSystem, _ inode: InodeID, _ name: String, _ range: Range<UInt64>) {
        self.files = files
        self.inode = inode
        self.name = name
        rest = range
    }

    func next() async throws -> ByteBuffer? {
        let (files, inode, name, place) = (self.files, self.inode, self.name, rest.lowerBound)
        let piece = try await BlockingCalls.piece(upTo: rest.count) { buffer in
            do throws(Errno) { return try files.read(inode, at: place, into: buffer) } catch {
                throw Failure(
                    error == .ioError ? .damaged : .inputOutput, "reading failed", object: name, hint: "'efs check' says what is damaged",
                    cause: error)
            }
        }
        rest = place + UInt64(piece?.readableBytes ?? 0)..<rest.upperBound
        return piece
    }
}
