import FoundationEssentials
public import NIOCore
import NIOHTTP1
public import Sealing
import Syscalls

/// What comes with a file's content.
public struct FileHead: Sendable, Hashable {
    public var etag: String
    /// Of the whole file, in bytes.
    public var size: UInt64
    /// Which part of the file comes.
    public var range: Range<UInt64>
    /// Seconds since 1970 and nanoseconds.
    public var modified: Int64
    public var modifiedNanoseconds: UInt32
    public var mode: UInt32?
}

extension EFSClient {
    /// Creates or replaces a file, whole or nothing; parents are made. Returns when it is on the server's stable storage.
    /// `body` writes `sizeBytes` bytes, or any number if that is nil; it is called again if the request has to be repeated.
    /// - Parameter sha256: of the content; the server takes nothing else then.
    public func put(
        _ path: RemotePath, sizeBytes: UInt64?, attributes: FileAttributes = FileAttributes(), condition: WriteCondition = .always,
        sha256: Digest32? = nil, body: @escaping BodySource
    ) async throws -> Entry {
        var request = ClientRequest(method: .PUT, uri: Self.dataURI(path), body: .stream(sizeBytes: sizeBytes, body))
        request.headers = Self.headers(condition) + Self.headers(attributes)
        if let sha256 { request.headers.append(("Repr-Digest", Self.digestField(sha256))) }
        return try await entry(request)
    }

    /// `put` for what is in memory. The server checks its digest.
    public func put(
        _ path: RemotePath, _ bytes: ByteBuffer, attributes: FileAttributes = FileAttributes(), condition: WriteCondition = .always
    ) async throws -> Entry {
        var request = ClientRequest(method: .PUT, uri: Self.dataURI(path), body: .bytes(bytes))
        let digest = bytes.withUnsafeReadableBytes { DigestHasher.digest(of: $0) }
        request.headers = Self.headers(condition) + Self.headers(attributes) + [("Repr-Digest", Self.digestField(digest))]
        return try await entry(request)
    }

    /// Reads a file, or from `offset` to its end or to `length` bytes. With `etag` only that very state of it: 412 otherwise.
    public func get<R: Sendable>(
        _ path: RemotePath, offset: UInt64 = 0, length: UInt64? = nil, etag: String? = nil,
        _ receive: @escaping @Sendable (FileHead, BodyReader) async throws -> R
    ) async throws -> R {
        var request = ClientRequest(method: .GET, uri: Self.dataURI(path))
        if let etag { request.headers.append(("If-Match", etag)) }
        if let length {
            guard length > 0 else { throw ClientError.malformed(host: configuration.host, what: "a range of no bytes") }
            request.headers.append(("Range", "bytes=\(offset)-\(offset + length - 1)"))
        } else if offset > 0 {
            request.headers.append(("Range", "bytes=\(offset)-"))
        }
        let host = configuration.host
        let isRange = offset > 0 || length != nil
        return try await send(request) { head, body in
            guard head.headers.first(name: "ETag") != nil, !isRange || head.status == .partialContent,
                let file = Self.fileHead(head)
            else {
                throw ClientError.malformed(host: host, what: "the answer is no file")
            }
            return try await receive(file, body)
        }
    }

    /// SHA-256 of a file, which the server reads for it (RFC 9530); with `etag` only of that very state: 412 otherwise.
    public func sha256(_ path: RemotePath, etag: String? = nil) async throws -> Digest32 {
        var request = ClientRequest(method: .HEAD, uri: Self.dataURI(path), headers: [("Want-Repr-Digest", "sha-256=1")])
        if let etag { request.headers.append(("If-Match", etag)) }
        let host = configuration.host
        return try await send(request) { head, _ in
            guard let digest = head.headers.first(name: "Repr-Digest").flatMap(Self.digest(inField:)) else {
                throw ClientError.malformed(host: host, what: "the answer has no digest")
            }
            return digest
        }
    }

    public func metadata(_ path: RemotePath) async throws -> Entry {
        try await entry(ClientRequest(method: .GET, uri: "/v1/metadata" + path.percentEncoded))
    }

    /// Nil if there is nothing of this name.
    public func metadataIfPresent(_ path: RemotePath) async throws -> Entry? {
        do { return try await metadata(path) } catch ClientError.problem(let problem) where problem.status == 404 { return nil }
    }

    public func setAttributes(_ path: RemotePath, _ attributes: FileAttributes) async throws -> Entry {
        let body = MetadataChange(
            modified: attributes.modified, modifiedNanoseconds: attributes.modified == nil ? nil : attributes.modifiedNanoseconds,
            mode: attributes.mode)
        return try await entry(try Self.json(.PATCH, "/v1/metadata" + path.percentEncoded, body))
    }

    /// Removes a file or a directory; with `recursive` all that is in it.
    public func delete(_ path: RemotePath, recursive: Bool = false, etag: String? = nil) async throws {
        var request = ClientRequest(method: .DELETE, uri: Self.dataURI(path) + (recursive ? "?recursive=true" : ""))
        if let etag { request.headers.append(("If-Match", etag)) }
        try await send(request) { _, _ in }
    }

    /// Atomic, for files and directories. Parents of `to` are made.
    public func move(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws -> Entry {
        try await entry(try Self.json(.POST, "/v1/move", placement(from, to, overwrite)))
    }

    /// Of one file, whole or nothing.
    public func copy(_ from: RemotePath, to: RemotePath, overwrite: Bool) async throws -> Entry {
        try await entry(try Self.json(.POST, "/v1/copy", placement(from, to, overwrite)))
    }

    private func placement(_ from: RemotePath, _ to: RemotePath, _ overwrite: Bool) -> Placement {
        var placement = Placement(overwrite: overwrite)
        if let text = from.asJSON { placement.from = text } else { placement.fromBytes = Base64URL.encode(from.bytes) }
        if let text = to.asJSON { placement.to = text } else { placement.toBytes = Base64URL.encode(to.bytes) }
        return placement
    }

    // MARK: Parts

    /// `sha-256=:…:`, as Content-Digest and Repr-Digest have it.
    static func digestField(_ digest: Digest32) -> String { "sha-256=:\(Data(digest.bytes).base64EncodedString()):" }

    /// The SHA-256 among a field's digests.
    static func digest(inField text: String) -> Digest32? {
        for member in text.split(separator: ",") {
            let member = member.drop { $0 == " " }
            guard member.hasPrefix("sha-256=:"), member.hasSuffix(":") else { continue }
            let bytes = Data(base64Encoded: String(member.dropFirst("sha-256=:".count).dropLast()))
            return bytes.flatMap { bytes in Array(bytes).withUnsafeBytes { Digest32($0) } }
        }
        return nil
    }

    static func dataURI(_ path: RemotePath) -> String { "/v1/data" + path.percentEncoded }

    static func headers(_ condition: WriteCondition) -> [(String, String)] {
        switch condition {
        case .always: []
        case .ifAbsent: [("If-None-Match", "*")]
        case .ifMatches(let etag): [("If-Match", etag)]
        }
    }

    static func headers(_ attributes: FileAttributes) -> [(String, String)] {
        var headers: [(String, String)] = []
        if let modified = attributes.modified {
            headers.append(("Efs-Modified", Self.timestamp(modified, attributes.modifiedNanoseconds)))
        }
        if let mode = attributes.mode { headers.append(("Efs-Mode", Self.octal(mode))) }
        return headers
    }

    static func timestamp(_ seconds: Int64, _ nanoseconds: UInt32) -> String {
        let digits = String(nanoseconds)
        return "\(seconds)." + String(repeating: "0", count: 9 - digits.count) + digits
    }

    static func octal(_ mode: UInt32) -> String {
        let digits = String(mode & 0o7777, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    static func json(_ method: HTTPMethod, _ uri: String, _ body: some Encodable) throws -> ClientRequest {
        ClientRequest(
            method: method, uri: uri, headers: [("Content-Type", "application/json")],
            body: .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body))))
    }

    func entry(_ request: ClientRequest) async throws -> Entry {
        let host = configuration.host
        return try await send(request) { _, body in
            guard let entry = try await JSONAnswer.read(EntryDocument.self, body, host: host).entry else {
                throw ClientError.malformed(host: host, what: "metadata without a name")
            }
            return entry
        }
    }

    private static func fileHead(_ head: HTTPResponseHead) -> FileHead? {
        let fields = head.headers
        let length = fields.first(name: "Content-Length").flatMap { UInt64($0) }
        var range: Range<UInt64>
        var size: UInt64
        if let text = fields.first(name: "Content-Range") {
            guard let parsed = contentRange(text) else { return nil }
            (range, size) = parsed
        } else {
            guard let length else { return nil }
            (range, size) = (0..<length, length)
        }
        let (seconds, nanoseconds) = fields.first(name: "Efs-Modified").flatMap(Self.parsedTimestamp) ?? (0, 0)
        return FileHead(
            etag: fields.first(name: "ETag") ?? "", size: size, range: range, modified: seconds, modifiedNanoseconds: nanoseconds,
            mode: fields.first(name: "Efs-Mode").flatMap { UInt32($0, radix: 8) })
    }

    /// `bytes 0-99/1234`.
    static func contentRange(_ text: String) -> (Range<UInt64>, UInt64)? {
        guard text.hasPrefix("bytes ") else { return nil }
        let halves = text.dropFirst(6).split(separator: "/")
        guard halves.count == 2, let size = UInt64(halves[1]) else { return nil }
        let ends = halves[0].split(separator: "-")
        guard ends.count == 2, let first = UInt64(ends[0]), let last = UInt64(ends[1]), first <= last, last < size else { return nil }
        return (first..<last + 1, size)
    }

    /// `<seconds>[.<nanoseconds>]`, the part behind the point being a fraction of up to nine digits.
    static func parsedTimestamp(_ text: String) -> (Int64, UInt32)? {
        let halves = text.split(separator: ".", maxSplits: 1)
        guard let first = halves.first, let seconds = Int64(first) else { return nil }
        guard halves.count == 2 else { return (seconds, 0) }
        guard halves[1].count <= 9, let fraction = UInt32(halves[1] + String(repeating: "0", count: 9 - halves[1].count)) else {
            return nil
        }
        return (seconds, fraction)
    }
}

private struct Placement: Encodable {
    var from: String?
    var to: String?
    var fromBytes: String?
    var toBytes: String?
    var overwrite: Bool
}

private struct MetadataChange: Encodable {
    var modified: Int64?
    var modifiedNanoseconds: UInt32?
    var mode: UInt32?
}

struct EntryDocument: Decodable, Sendable {
    var name: String?
    var nameBytes: String?
    var type: Entry.Kind
    var size: UInt64
    var etag: String?
    var modified: Int64?
    var modifiedNanoseconds: UInt32?
    var mode: UInt32?
    var target: String?

    /// Nil for a name that is no component of a path: it would lead elsewhere.
    var entry: Entry? {
        guard let bytes = nameBytes.flatMap(Base64URL.decode) ?? name.map({ Array($0.utf8) }) else { return nil }
        guard !bytes.contains(UInt8(ascii: "/")), !bytes.contains(0), bytes != Array(".".utf8), bytes != Array("..".utf8) else {
            return nil
        }
        return Entry(
            name: bytes, kind: type, size: size, etag: etag ?? "", modified: modified ?? 0, modifiedNanoseconds: modifiedNanoseconds ?? 0,
            mode: mode ?? 0, target: target)
    }
}

extension RemotePath {
    /// `/a/b` as it is.
    var bytes: [UInt8] { isRoot ? [UInt8(ascii: "/")] : components.flatMap { [UInt8(ascii: "/")] + $0 } }

    /// JSON strings hold no other bytes than UTF-8.
    var asJSON: String? {
        var text = ""
        for component in components {
            guard let name = String(validating: component, as: UTF8.self) else { return nil }
            text += "/" + name
        }
        return text.isEmpty ? "/" : text
    }
}
