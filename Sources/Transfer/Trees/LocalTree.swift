import CSyscalls
public import Client
import Glibc
import NIOCore
import Sealing
import Syscalls
import SystemPackage

/// The files of this machine below a path, which is the tree's root: `cp a b` sees two trees whose roots are the two files.
public final class LocalTree: Tree {
    private let base: LocalPath

    public init(_ base: String) { self.base = LocalPath(base) }

    /// Where the path is on this machine.
    private func absolute(_ path: RemotePath) -> LocalPath { base.appending(path) }

    public func display(_ path: RemotePath) -> String { absolute(path).description }

    public func entry(_ path: RemotePath) async throws -> TreeEntry? {
        let name = absolute(path)
        return try await BlockingCalls.run {
            do { return try Self.entry(name, named: path.name) } catch Errno.noSuchFileOrDirectory, Errno.notDirectory {
                return nil
            } catch let error as Errno { throw Failure(systemCall: "stat", object: name.description, error) }
        }
    }

    private static func entry(_ path: LocalPath, named name: [UInt8]) throws(Errno) -> TreeEntry {
        var status = stat()
        _ = try retrying { lstat(path.cString, &status) }
        let kind: Entry.Kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            default: .other
            }
        return TreeEntry(
            name: name, kind: kind, size: kind == .file ? UInt64(status.st_size) : 0, modified: Int64(status.st_mtim.tv_sec),
            modifiedNanoseconds: UInt32(status.st_mtim.tv_nsec), mode: status.st_mode & 0o7777, version: version(status),
            target: kind == .symlink ? link(path) : nil)
    }

    private static func version(_ status: stat) -> String {
        "\(status.st_dev)-\(status.st_ino)-\(status.st_size)-\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
            + "-\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
    }

    private static func link(_ path: LocalPath) -> String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path.cString, &target, target.count)
        return count < 0 ? nil : String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public func list(_ path: RemotePath, _ visit: ([TreeEntry]) async throws -> Void) async throws {
        let name = absolute(path)
        let entries = try await BlockingCalls.run {
            guard let directory = opendir(name.cString) else {
                throw Failure(systemCall: "opendir", object: name.description, .current)
            }
            defer { closedir(directory) }
            var entries: [TreeEntry] = []
            while let found = readdir(directory) {
                let child = withUnsafeBytes(of: &found.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
                if child == [UInt8(ascii: ".")] || child == [UInt8(ascii: "."), UInt8(ascii: ".")] { continue }
                // What is gone since is not there.
                if let entry = try? Self.entry(name.appending(child), named: child) { entries.append(entry) }
            }
            return entries
        }
        try await visit(entries)
    }

    public func read<R: Sendable>(
        _ path: RemotePath, _ range: Range<UInt64>?, version: String?, _ receive: @escaping @Sendable (any ChunkSource) async throws -> R
    ) async throws -> R {
        let name = absolute(path)
        let file = try await BlockingCalls.run {
            do {
                let file = try OwnedDescriptor.open(path: name.cString, O_RDONLY | O_NOCTTY | O_NOFOLLOW)
                if let version, Self.version(try file.status()) != version {
                    throw Failure(.conflict, "the file changed meanwhile", object: name.description)
                }
                posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_SEQUENTIAL)
                return file
            } catch let error as Errno { throw Failure(systemCall: "open", object: name.description, error) }
        }
        return try await receive(LocalChunks(file, name.description, range ?? 0..<UInt64(Int64.max)))
    }

    public func write(
        _ path: RemotePath, size: UInt64, attributes: FileAttributes, resumeKey: String?, _ content: FileContent
    ) async throws {
        let name = absolute(path)
        let target = PartialFile(name, resumeKey: resumeKey)
        let offset = try await BlockingCalls.run { try target.open(upTo: size) }
        do {
            try await content.send(offset..<size) { piece in try await BlockingCalls.run { try target.append(piece) } }
        } catch {
            // A part that can be gone on with is kept; any other is of no use.
            if resumeKey == nil { target.abandon() }
            throw error
        }
        do { try await BlockingCalls.run { try target.finish(size: size, attributes) } } catch {
            target.abandon()
            throw error
        }
    }

    public func makeDirectory(_ path: RemotePath) async throws {
        let name = absolute(path)
        try await BlockingCalls.run { try Self.makeDirectories(name) }
    }

    static func makeDirectories(_ path: LocalPath) throws(Failure) {
        if mkdir(path.cString, 0o777) == 0 { return }
        switch errno {
        case EEXIST:
            var status = stat()
            if stat(path.cString, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
            throw Failure(.conflict, "this is no directory", object: path.description)
        case ENOENT:
            let parent = path.parent
            guard parent != path, parent.bytes != [UInt8(ascii: ".")] else {
                throw Failure(systemCall: "mkdir", object: path.description, .noSuchFileOrDirectory)
            }
            try makeDirectories(parent)
            if mkdir(path.cString, 0o777) != 0, errno != EEXIST { throw Failure(systemCall: "mkdir", object: path.description, .current) }
        default: throw Failure(systemCall: "mkdir", object: path.description, .current)
        }
    }

    public func remove(_ path: RemotePath, recursive: Bool) async throws {
        let entry = try await entry(path)
        if recursive, entry?.kind == .directory {
            var children: [[UInt8]] = []
            try await list(path) { children += $0.map(\.name) }
            for child in children { try await remove(path.appending(child), recursive: true) }
        }
        let name = absolute(path)
        try await BlockingCalls.run {
            if (entry?.kind == .directory ? rmdir(name.cString) : unlink(name.cString)) != 0 {
                if errno == ENOTEMPTY || errno == EEXIST {
                    throw Failure(.conflict, "the directory is not empty", object: name.description, hint: "-r removes what is in it")
                }
                throw Failure(systemCall: "unlink", object: name.description, .current)
            }
        }
    }

    public func move(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws {
        let (old, new) = (absolute(from), absolute(to))
        try await BlockingCalls.run {
            let result = overwrite ? rename(old.cString, new.cString) : efs_rename_new(old.cString, new.cString)
            if result != 0 { throw Failure(systemCall: "rename", object: (errno == EEXIST ? new : old).description, .current) }
        }
    }

    public func close() async throws {}
}

private final class LocalChunks: ChunkSource {
    private let file: OwnedDescriptor
    private let name: String
    private var rest: Range<UInt64>

    init(_ file: OwnedDescriptor, _ name: String, _ range: Range<UInt64>) {
        self.file = file
        self.name = name
        rest = range
    }

    func next() async throws -> ByteBuffer? {
        let (file, name, place) = (self.file, self.name, rest.lowerBound)
        let piece = try await BlockingCalls.piece(upTo: rest.count) { buffer in
            do throws(Errno) { return try file.read(at: place, into: buffer) } catch {
                throw Failure(systemCall: "read", object: name, error)
            }
        }
        rest = place + UInt64(piece?.readableBytes ?? 0)..<rest.upperBound
        return piece
    }
}
