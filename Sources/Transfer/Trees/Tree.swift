public import Client
public import NIOCore
public import Sealing
import Syscalls

/// A file, directory or other thing of a tree.
public struct TreeEntry: Sendable, Hashable {
    public var name: [UInt8]
    public var kind: Entry.Kind
    /// Of a file, in bytes.
    public var size: UInt64
    /// Seconds since 1970 and nanoseconds.
    public var modified: Int64
    public var modifiedNanoseconds: UInt32
    /// Permission bits.
    public var mode: UInt32
    /// Another text as soon as the file is another: what a copy that goes on relies on.
    public var version: String
    /// Of a symbolic link.
    public var target: String?
}

/// Content piece by piece; valid only within the call that it is given to.
public protocol ChunkSource: AnyObject {
    /// The next piece; nil at the end.
    func next() async throws -> ByteBuffer?
}

/// Takes pieces of content in order; waits while what is behind it is busy.
public typealias ChunkSink = @Sendable (ByteBuffer) async throws -> Void

/// What a file is written from.
public struct FileContent: Sendable {
    public typealias Sender = @Sendable (_ range: Range<UInt64>, _ sink: @escaping ChunkSink) async throws -> Void

    /// Gives the bytes of a range, in order; of the same one again if the way breaks.
    public var send: Sender
    /// SHA-256 of a range, where it costs less than sending that; nil elsewhere.
    public var digest: (@Sendable (_ range: Range<UInt64>) async throws -> Digest32)?

    public init(send: @escaping Sender) {
        self.send = send
    }
}

/// Files and directories by path: of this machine, of a volume, or of a server. All calls are thread-safe, wait for the storage,
/// and throw `Failure` that names the path.
public protocol Tree: Sendable {
    /// What messages call a path of this tree.
    func display(_ path: RemotePath) -> String

    /// Nil if nothing is there. Symbolic links are not followed.
    func entry(_ path: RemotePath) async throws -> TreeEntry?

    /// Calls `visit` with the entries of a directory, some at a time.
    func list(_ path: RemotePath, _ visit: ([TreeEntry]) async throws -> Void) async throws

    /// Reads a range of a file, nil for the whole; if `version` is given, only that state of it.
    func read<R: Sendable>(
        _ path: RemotePath, _ range: Range<UInt64>?, version: String?, _ receive: @escaping @Sendable (any ChunkSource) async throws -> R
    ) async throws -> R

    /// SHA-256 of a file; if `version` is given, only of that state of it.
    func digest(_ path: RemotePath, version: String?) async throws -> Digest32

    /// Whether reading a file twice costs little: it is on this machine.
    var isNear: Bool { get }

    /// Creates or replaces a file, whole or nothing, and its parents. `content` is asked for ranges in their order: from another
    /// place than the start where an earlier copy of the same thing, known by `resumeKey`, had been cut.
    func write(
        _ path: RemotePath, size: UInt64, attributes: FileAttributes, resumeKey: String?, _ content: FileContent
    ) async throws

    /// Makes a directory and its parents; nothing happens if it is there.
    func makeDirectory(_ path: RemotePath) async throws

    /// Removes a file, or a directory that is empty; with `recursive` all that is in it.
    func remove(_ path: RemotePath, recursive: Bool) async throws

    /// Atomic. `to` must not be there, unless `overwrite`.
    func move(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws

    /// Makes what was done durable and lets go of what is held.
    func close() async throws
}

extension Tree {
    public var isNear: Bool { true }

    public func digest(_ path: RemotePath, version: String?) async throws -> Digest32 { try await digest(path, nil, version: version) }

    /// By reading it.
    func digest(_ path: RemotePath, _ range: Range<UInt64>?, version: String?) async throws -> Digest32 {
        try await read(path, range, version: version) { chunks in
            var hasher = DigestHasher()
            while let piece = try await chunks.next() { piece.withUnsafeReadableBytes { hasher.update($0) } }
            return hasher.finish()
        }
    }
}
