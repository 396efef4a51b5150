import Archive
import Client
import Dispatch
import FileSystem
import Glibc
import NIOCore
import Synchronization
import Syscalls
import Transfer

/// The tree below a directory of a server, for an archive. A server tells no owners, extended attributes, holes or hard links: what
/// is archived belongs to the caller. Used by one thread at a time, which waits while the network works.
final class RemoteSource: TreeSource {
    private struct Level {
        var path: RemotePath
        var below: [UInt8]
        var rest: [TreeEntry]
    }

    private let tree: any Tree
    private let root: RemotePath
    private let exclusions: TreeExclusions
    private let report: (String) -> Void
    private var levels: [Level] = []
    private var rootIsGiven = false
    private var current: (path: RemotePath, version: String)?
    private var stream: ContentStream?

    init(_ tree: any Tree, _ root: RemotePath, exclusions: TreeExclusions, report: @escaping (String) -> Void) {
        self.tree = tree
        self.root = root
        self.exclusions = exclusions
        self.report = report
    }

    func next() throws(Failure) -> ArchiveEntry? {
        stream = nil
        current = nil
        if !rootIsGiven {
            rootIsGiven = true
            guard let entry = try find(root), entry.kind == .directory else {
                throw Failure(.missing, "there is no such directory", object: tree.display(root))
            }
            return try enter(root, [], entry)
        }
        while let level = levels.last {
            guard let entry = level.rest.last else {
                levels.removeLast()
                continue
            }
            levels[levels.count - 1].rest.removeLast()
            let below = level.below.isEmpty ? entry.name : level.below + [UInt8(ascii: "/")] + entry.name
            if exclusions.contain(below) { continue }
            if let given = try give(entry, level.path.appending(entry.name), below) { return given }
        }
        return nil
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let current else { preconditionFailure("a regular file was given") }
        if stream?.offset != offset { stream = ContentStream(tree, current.path, current.version, from: offset) }
        var done = 0
        while done < buffer.count {
            let count = try stream?.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...])) ?? 0
            if count == 0 { break }
            done += count
        }
        return done
    }

    private func find(_ path: RemotePath) throws(Failure) -> TreeEntry? {
        let tree = tree
        return try Waiting.run { try await tree.entry(path) }
    }

    private func enter(_ path: RemotePath, _ below: [UInt8], _ entry: TreeEntry) throws(Failure) -> ArchiveEntry {
        let tree = tree
        let children = try Waiting.run {
            var children: [TreeEntry] = []
            try await tree.list(path) { children += $0 }
            // From the end, since they are taken from there.
            return children.sorted { $1.name.lexicographicallyPrecedes($0.name) }
        }
        levels.append(Level(path: path, below: below, rest: children))
        return Self.archived(entry, below, .directory)
    }

    /// Nil for what is left out.
    private func give(_ entry: TreeEntry, _ path: RemotePath, _ below: [UInt8]) throws(Failure) -> ArchiveEntry? {
        switch entry.kind {
        case .directory: return try enter(path, below, entry)
        case .file:
            current = (path, entry.version)
            return Self.archived(entry, below, .regular(sizeBytes: entry.size, dataRanges: nil))
        case .symlink:
            // A listing does not tell where a link leads.
            guard let target = try find(path)?.target else { return nil }
            return Self.archived(entry, below, .symbolicLink(target: Array(target.utf8)))
        case .other:
            report("\(ArchiveEntry.display(below)): left out: neither file, directory nor symbolic link")
            return nil
        }
    }

    private static func archived(_ entry: TreeEntry, _ below: [UInt8], _ kind: ArchiveEntry.Kind) -> ArchiveEntry {
        var archived = ArchiveEntry(path: below, kind: kind)
        archived.permissions = entry.mode & 0o777
        archived.uid = getuid()
        archived.gid = getgid()
        archived.modificationTime = Timestamp(seconds: entry.modified, nanoseconds: entry.modifiedNanoseconds)
        return archived
    }
}

/// A file's content from an offset on, fetched by a task and taken by a thread that waits: one piece at a time, when it is asked for.
private final class ContentStream {
    private final class Handover: Sendable {
        let piece = Mutex<Result<ByteBuffer?, any Error>>(.success(nil))
        let isThere = DispatchSemaphore(value: 0)

        func give(_ result: Result<ByteBuffer?, any Error>) {
            piece.withLock { $0 = result }
            isThere.signal()
        }
    }

    private(set) var offset: UInt64
    private let handover: Handover
    private let demand: AsyncStream<Void>.Continuation
    private var piece = ByteBuffer()
    private var isAtEnd = false

    init(_ tree: any Tree, _ path: RemotePath, _ version: String, from offset: UInt64) {
        self.offset = offset
        let (demands, demand) = AsyncStream.makeStream(of: Void.self)
        self.demand = demand
        let handover = Handover()
        self.handover = handover
        Task {
            do {
                let range = offset == 0 ? nil : offset..<UInt64(Int64.max)
                try await tree.read(path, range, version: version) { chunks in
                    for await _ in demands {
                        let next = try await chunks.next()
                        handover.give(.success(next))
                        if next == nil { return }
                    }
                }
            } catch { handover.give(.failure(error)) }
        }
    }

    /// What is not asked for any more is not fetched; the connection serves again if little is left.
    deinit { demand.finish() }

    /// 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        while piece.readableBytes == 0 {
            if isAtEnd { return 0 }
            demand.yield()
            handover.isThere.wait()
            switch handover.piece.withLock({ $0 }) {
            case .success(let next?): piece = next
            case .success(nil): isAtEnd = true
            case .failure(let error):
                isAtEnd = true
                throw Waiting.failure(error)
            }
        }
        let count = min(piece.readableBytes, buffer.count)
        piece.withUnsafeReadableBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        piece.moveReaderIndex(forwardBy: count)
        offset += UInt64(count)
        return count
    }
}

/// Waits, in a thread that nothing asynchronous needs, for asynchronous work.
enum Waiting {
    private final class Box<R: Sendable>: Sendable {
        let result = Mutex<Result<R, any Error>?>(nil)
    }

    static func run<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws(Failure) -> R {
        let box = Box<R>()
        let done = DispatchSemaphore(value: 0)
        Task {
            let result: Result<R, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            box.result.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        switch box.result.withLock({ $0 }) {
        case .success(let value): return value
        case .failure(let error): throw failure(error)
        case nil: throw Failure(.inputOutput, "the work came to no end")
        }
    }

    static func failure(_ error: any Error) -> Failure {
        let sorted = FileTask.asFailure(error)
        return (sorted as? Failure) ?? Failure(.inputOutput, "\(sorted)")
    }
}
