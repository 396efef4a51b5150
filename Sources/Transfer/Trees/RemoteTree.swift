public import Client
import NIOCore
public import Sealing
import Syscalls

/// The files of a server.
public final class RemoteTree: Tree {
    private let client: EFSClient
    private let name: String
    private let uploads: UploadNotes?

    /// Larger files go as uploads that can be resumed.
    private static let resumableFromBytes: UInt64 = 16 << 20
    /// What an upload sends at a time: the server checks its digest, and has it on the disk, before the next. A cut costs no more.
    private static let partBytes: UInt64 = 32 << 20
    /// A connection that breaks so often in one upload is not worth more.
    private static let mostBreaks = 8

    /// `uploads` remembers uploads under way for the next process; nil for none.
    public init(_ client: EFSClient, name: String, uploads: UploadNotes?) {
        self.client = client
        self.name = name
        self.uploads = uploads
    }

    /// As a place that `Place` reads.
    public func display(_ path: RemotePath) -> String { path.isUTF8 ? "\(name):\(path)" : "efs://\(name)\(path.percentEncoded)" }

    public var isNear: Bool { false }

    public func digest(_ path: RemotePath, version: String?) async throws -> Digest32 {
        try await naming(path) { try await client.sha256(path, etag: version) }
    }

    private func naming<R>(_ path: RemotePath, _ body: () async throws -> R) async throws -> R {
        do { return try await body() } catch let error as ClientError { throw error.failure(display(path)) }
    }

    public func entry(_ path: RemotePath) async throws -> TreeEntry? {
        try await naming(path) { try await client.metadataIfPresent(path).map(Self.entry) }
    }

    private static func entry(_ entry: Entry) -> TreeEntry {
        TreeEntry(
            name: entry.name, kind: entry.kind, size: entry.size, modified: entry.modified, modifiedNanoseconds: entry.modifiedNanoseconds,
            mode: entry.mode, version: entry.etag, target: entry.target)
    }

    public func list(_ path: RemotePath, _ visit: ([TreeEntry]) async throws -> Void) async throws {
        try await naming(path) { try await client.forEachPage(path) { try await visit($0.map(Self.entry)) } }
    }

    public func read<R: Sendable>(
        _ path: RemotePath, _ range: Range<UInt64>?, version: String?, _ receive: @escaping @Sendable (any ChunkSource) async throws -> R
    ) async throws -> R {
        try await naming(path) {
            try await client.get(path, offset: range?.lowerBound ?? 0, length: range.map { UInt64($0.count) }, etag: version) {
                _, body in try await receive(BodySourceChunks(body))
            }
        }
    }

    public func write(
        _ path: RemotePath, size: UInt64, attributes: FileAttributes, resumeKey: String?, _ content: FileContent
    ) async throws {
        try await naming(path) {
            guard size >= Self.resumableFromBytes else {
                let digest = try await content.digest?(0..<size)
                _ = try await client.put(path, sizeBytes: size, attributes: attributes, sha256: digest) { writer in
                    try await content.send(0..<size) { try await writer.write($0) }
                }
                return
            }
            try await upload(path, size, attributes, resumeKey.map { "\(name)\u{0}\(path)\u{0}\($0)" }, content)
        }
    }

    /// Goes on where the server says that it is, after each break, as long as something gets through in between.
    private func upload(
        _ path: RemotePath, _ size: UInt64, _ attributes: FileAttributes, _ key: String?, _ content: FileContent
    ) async throws {
        var offset: UInt64 = 0
        let upload: ResumableUpload
        if let key, let noted = uploads?.find(key), noted.sizeBytes == size, let reached = try await reached(noted) {
            (upload, offset) = (noted, reached)
        } else {
            upload = try await client.createUpload(path, sizeBytes: size, attributes: attributes)
            if let key { uploads?.note(upload, for: key) }
        }
        var breaks = 0
        while offset < size {
            let start = offset
            let part = start..<min(start + Self.partBytes, size)
            do {
                let digest = try await content.digest?(part)
                offset = try await client.sendPart(upload, at: start, sizeBytes: UInt64(part.count), sha256: digest) { writer in
                    try await content.send(part) { try await writer.write($0) }
                }
            } catch ClientError.interrupted(let host, let cause) {
                breaks += 1
                try Task.checkCancellation()
                guard breaks < Self.mostBreaks, let reached = try await reached(upload) else {
                    throw ClientError.interrupted(host: host, cause: cause)
                }
                if reached > start { breaks = 0 }
                offset = reached
            } catch ClientError.problem(let problem) where problem.code == "offset-mismatch" || problem.code == "upload-busy" {
                breaks += 1
                guard breaks < Self.mostBreaks, let reached = try await reached(upload) else { throw ClientError.problem(problem) }
                offset = reached
            }
        }
        if let key { uploads?.forget(key) }
    }

    private func reached(_ upload: ResumableUpload) async throws -> UInt64? {
        do { return try await client.uploadOffset(upload) } catch ClientError.problem(let problem) where problem.status == 404 {
            return nil
        }
    }

    public func makeDirectory(_ path: RemotePath) async throws {
        if path.isRoot { return }
        try await naming(path) { try await client.makeDirectory(path) }
    }

    public func remove(_ path: RemotePath, recursive: Bool) async throws {
        try await naming(path) { try await client.delete(path, recursive: recursive) }
    }

    public func move(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws {
        try await naming(from) { _ = try await client.move(from, to: to, overwrite: overwrite) }
    }

    public func close() async throws { await client.shutDown() }
}

private final class BodySourceChunks: ChunkSource {
    private let body: BodyReader
    init(_ body: BodyReader) { self.body = body }
    func next() async throws -> ByteBuffer? { try await body.next() }
}
