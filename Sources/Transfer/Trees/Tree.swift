public import Client
public import NIOCore
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

/// Files and directories by path: of this machine, of a volume, or of a server. All calls are thread-safe, wait for the storage,
/// and throw `Failure` that names the path.
public protocol Tree: Sendable {
    /// What messages call a path of this tree.
    func display(_ path: RemotePath) -> String

    /// Nil if nothing is there. Symbolic links are not followed.
    func entry(_ path: RemotePath) async throws -> TreeEntry?

    /// Calls `visit` with the entries of a directory, some at a time.
    func list(_ path: RemotePath, _ visit: ([TreeEntry]) async throws -> Void) async throws

    /// Reads a file from `offset`; if `version` is given, only that state of it.
    func read<R: Sendable>(
        _ path: RemotePath, from offset: UInt64, version: String?, _ receive: @escaping @Sendable (any ChunkSource) async throws -> R
    ) async throws -> R

    /// Creates or replaces a file, whole or nothing, and its parents. `content` gives the bytes from an offset on: other than 0
    /// where an earlier copy of the same thing, known by `resumeKey`, had been cut; more than once if the way breaks.
    func write(
        _ path: RemotePath, size: UInt64, attributes: FileAttributes, resumeKey: String?,
        _ content: @escaping @Sendable (_ offset: UInt64, _ sink: @escaping ChunkSink) async throws -> Void
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
