import Crypto
import FileSystem
import FoundationEssentials
import HTTPTypes
import HummingbirdCore
import NIOCore
import SystemPackage

/// Files by path.
extension APIResponder {
    func dataStep(_ call: Call, _ caller: Caller, _ path: RequestPath) async throws(Problem) -> Step {
        if path.isReserved { throw .notFound }
        let rights = caller.user.grants.rights(at: path)
        switch call.method {
        case .get, .head: return .reply(try await read(call, caller, path, rights))
        case .put, .post:
            guard rights.contains(.write) else { throw .forbidden }
            if path.namesDirectory { return try directoryStep(call, caller, path) }
            return try await writeStep(call, caller, path)
        case .delete:
            guard rights.contains(.delete) else { throw .forbidden }
            return .reply(try await delete(call, caller, path))
        default: throw .methodNotAllowed("GET, HEAD, PUT, POST, DELETE")
        }
    }

    // MARK: Reading

    /// What one step on an engine thread finds out about a file that is asked for.
    private struct Opened: Sendable {
        var attributes: Attributes
        /// All of it, if it is small; the file is not retained then.
        var content: ByteBuffer?
    }

    /// Files up to this size are read in the step that finds them.
    private static let smallFileBytes: UInt64 = 256 << 10

    private func read(_ call: Call, _ caller: Caller, _ path: RequestPath, _ rights: Rights) async throws(Problem) -> Response {
        guard !rights.isDisjoint(with: [.read, .list]) else { throw .forbidden }
        let fileSystem = caller.fileSystem
        let wantsContent = call.method == .get
        let (cache, clock) = (server.cache, server.clock)
        let opened = try await server.threads.run { () throws(Problem) -> Opened in
            let attributes = try fileSystem.find(path, retaining: wantsContent)
            guard wantsContent else { return Opened(attributes: attributes) }
            guard attributes.type == .regular, rights.contains(.read), attributes.sizeBytes <= Self.smallFileBytes else {
                return Opened(attributes: attributes)
            }
            defer { fileSystem.release(attributes.inode) }
            let key = attributes.cacheKey(fileSystem, piece: 0)
            let size = Int(attributes.sizeBytes)
            if let content = cache.read(key, 0..<size, now: clock.monotonic()) { return Opened(attributes: attributes, content: content) }
            let content = try fileSystem.read(attributes.inode, at: 0, count: size)
            let now = try fileSystem.engine { (files) throws(Errno) in try files.attributes(attributes.inode) }
            if now.changeCounter == attributes.changeCounter { cache.insert(key, content, now: clock.monotonic()) }
            return Opened(attributes: attributes, content: content)
        }
        let retained = wantsContent && opened.content == nil ? RetainedInode(opened.attributes.inode, fileSystem) : nil
        let attributes = opened.attributes
        switch attributes.type {
        case .directory:
            guard rights.contains(.list) else { throw .forbidden }
            return try await list(call, caller, path, attributes)
        case .regular: break
        default: throw Problem(.conflict, "not-a-file", "there is no file at this path")
        }
        guard rights.contains(.read) else { throw .forbidden }
        if path.namesDirectory { throw Problem(.conflict, "not-a-directory", "there is a file at this path") }
        return try await replyFile(call, attributes, opened.content, retained, fileSystem)
    }

    private func replyFile(
        _ call: Call, _ attributes: Attributes, _ content: ByteBuffer?, _ retained: RetainedInode?, _ fileSystem: ServedFileSystem
    ) async throws(Problem) -> Response {
        var headers = Self.fileHeaders(attributes)
        switch Conditions(call.headers).judgeReading(attributes) {
        case .failed: throw .preconditionFailed
        case .notModified: return Response(status: .notModified, headers: headers)
        case .proceed: break
        }
        if BodyDigests.wantsSHA256(call.headers) { headers[.reprDigest] = try await representationDigest(attributes, fileSystem) }
        let range: Range<UInt64>
        var status = HTTPResponse.Status.ok
        switch call.method == .get ? ByteRange(call.headers, attributes) : .whole {
        case .whole: range = 0..<attributes.sizeBytes
        case .part(let part):
            range = part
            status = .partialContent
            headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(attributes.sizeBytes)"
        case .unsatisfiable:
            throw Problem(.rangeNotSatisfiable, "range-not-satisfiable", "the file is not that long")
                .with(.contentRange, "bytes */\(attributes.sizeBytes)")
        }
        headers[.contentLength] = String(range.count)
        if call.method == .head { return Response(status: status, headers: headers) }
        if let content, let slice = content.getSlice(at: content.readerIndex + Int(range.lowerBound), length: range.count) {
            call.notes.add(sent: range.count)
            return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: slice))
        }
        guard let retained else { throw Problem(.internalServerError, "internal", "the file went while it was opened") }
        let stream = FileStream(
            fileSystem: fileSystem, threads: server.threads, cache: server.cache, clock: server.clock, file: retained,
            attributes: attributes, range: range, notes: call.notes)
        return Response(
            status: status, headers: headers,
            body: ResponseBody(contentLength: range.count) { writer in try await stream.write(to: &writer) })
    }

    /// Of all of the file, whatever part of it is asked for.
    private func representationDigest(_ attributes: Attributes, _ fileSystem: ServedFileSystem) async throws(Problem) -> String {
        var hash = SHA256()
        var offset: UInt64 = 0
        let inode = attributes.inode
        while offset < attributes.sizeBytes {
            let start = offset
            let bytes = try await server.threads.run { () throws(Problem) in try fileSystem.read(inode, at: start, count: 4 << 20) }
            if bytes.readableBytes == 0 { break }
            bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
            offset += UInt64(bytes.readableBytes)
        }
        let now = try await server.threads.run { () throws(Problem) in
            try fileSystem.engine { (files) throws(Errno) in try files.attributes(inode) }
        }
        guard now.changeCounter == attributes.changeCounter else {
            throw Problem(.conflict, "conflict", "the file was changed while it was read")
        }
        return "sha-256=:\(Base64.encode(Array(hash.finalize()))):"
    }

    static func fileHeaders(_ attributes: Attributes) -> HTTPFields {
        [
            .contentType: "application/octet-stream", .eTag: attributes.entityTag,
            .lastModified: HTTPDate.format(attributes.modificationTime), .acceptRanges: "bytes", .cacheControl: "private, no-cache",
            .efsModified: "\(attributes.modificationTime.seconds).\(Self.nineDigits(attributes.modificationTime.nanoseconds))",
            .efsMode: String(attributes.permissions, radix: 8),
        ]
    }

    private static func nineDigits(_ number: UInt32) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 9 - digits.count) + digits
    }

    // MARK: Writing

    /// What the headers of an upload ask for.
    struct WriteOptions {
        var conditions: Conditions
        var mode: UInt32?
        var modified: Timestamp?
        var length: UInt64?
        var digests: BodyDigests

        init(_ headers: HTTPFields) throws(Problem) {
            guard headers[.contentRange] == nil else { throw .badRequest("a part is not a file; see /v1/uploads") }
            conditions = Conditions(headers)
            mode = try headers[.efsMode].map(Self.parseMode)
            modified = try headers[.efsModified].map(Self.parseTime)
            length = headers[.contentLength].flatMap { UInt64($0) }
            digests = try BodyDigests(headers)
        }

        static func parseMode(_ text: String) throws(Problem) -> UInt32 {
            guard let mode = UInt32(text, radix: 8), mode <= 0o777 else { throw .badRequest("Efs-Mode is up to 777, octal") }
            return mode
        }

        static func parseTime(_ text: String) throws(Problem) -> Timestamp {
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard let seconds = Int64(parts[0]), abs(seconds) < 1 << 40 else { throw .badRequest("Efs-Modified is in seconds since 1970") }
            guard parts.count > 1 else { return Timestamp(seconds: seconds) }
            let fraction = parts[1] + String(repeating: "0", count: max(0, 9 - parts[1].count))
            guard fraction.utf8.count == 9, let nanoseconds = UInt32(fraction) else {
                throw .badRequest("Efs-Modified has up to nine digits behind the point")
            }
            return Timestamp(seconds: seconds, nanoseconds: nanoseconds)
        }
    }

    private func writeStep(_ call: Call, _ caller: Caller, _ path: RequestPath) async throws(Problem) -> Step {
        let options = try WriteOptions(call.headers)
        let limit = server.options.maximumBodyBytes
        if let length = options.length, length > limit { throw .tooLarge }
        guard let name = path.components.last else { throw Problem(.conflict, "not-a-file", "the root is a directory") }
        let (fileSystem, threads, user) = (caller.fileSystem, server.threads, caller.user)
        // What can be refused without the body is; the last word falls with the commit.
        var claim: QuotaClaim?
        let hasQuota = fileSystem.quotaBytes != nil || user.record.quotaBytes != nil
        if hasQuota || options.conditions.ifMatch != nil || options.conditions.ifNoneMatch != nil || call.headers[.expect] != nil {
            claim = try await threads.run { () throws(Problem) in
                let existing = try fileSystem.existing(path)
                if let refusal = options.conditions.refuseChange(existing) { throw refusal }
                if existing?.type == .directory { throw Problem(.isDirectory) }
                return fileSystem.claim(for: user, replacing: existing)
            }
            if let length = options.length { try claim?.grow(by: length) }
        }
        return receiveStep(call, options, caller, path, name, claim)
    }

    /// Reads the body and commits it.
    private func receiveStep(
        _ call: Call, _ options: WriteOptions, _ caller: Caller, _ path: RequestPath, _ name: [UInt8], _ claim: QuotaClaim?
    ) -> Step {
        let (fileSystem, threads, group) = (caller.fileSystem, server.threads, caller.user.group)
        let limit = server.options.maximumBodyBytes
        return .receive { body in
            let parent = path.parent
            let mode = options.mode ?? 0o644
            let directory = try await threads.run { () throws(Problem) in try fileSystem.makeDirectories(parent).inode }
            let receiver = BodyReceiver(
                fileSystem: fileSystem, threads: threads, directory: directory, mode: mode, group: group, limitBytes: limit,
                claim: options.length == nil ? claim : nil, notes: call.notes)
            let received = try await receiver.receive(body, expected: options.length, digests: options.digests)
            let published = try await threads.run { () throws(Problem) in
                let inode =
                    if let inode = received.inode { inode } else { try fileSystem.makeUnnamed(directory, mode: mode, group: group) }
                // Published or not, nobody holds it afterwards.
                defer { fileSystem.release(inode) }
                try fileSystem.write(inode, at: received.writtenBytes, received.rest)
                claim?.attach(to: inode)
                return try fileSystem.publish(
                    inode, as: name, in: directory, modified: options.modified, keepsMode: options.mode == nil
                ) { existing in options.conditions.refuseChange(existing) ?? claim?.refuses(replacing: existing) }
            }
            var response = try Response.json(
                FileMetadata(published.attributes, name: name), status: published.isNew ? .created : .ok)
            response.headers[.eTag] = published.attributes.entityTag
            return response
        }
    }

    private func directoryStep(_ call: Call, _ caller: Caller, _ path: RequestPath) throws(Problem) -> Step {
        let (fileSystem, threads) = (caller.fileSystem, server.threads)
        return .receive { body in
            for try await part in body where part.readableBytes > 0 {
                throw Problem.badRequest("a directory has no content; a path that ends in '/' means one")
            }
            let made = try await threads.run { () throws(Problem) in
                let made = try fileSystem.makeDirectories(path.components[...])
                try fileSystem.synchronize()
                return (attributes: try fileSystem.engine { (files) throws(Errno) in try files.attributes(made.inode) }, isNew: made.isNew)
            }
            return try .json(
                FileMetadata(made.attributes, name: path.components.last ?? []), status: made.isNew ? .created : .ok)
        }
    }

    // MARK: Deleting

    private func delete(_ call: Call, _ caller: Caller, _ path: RequestPath) async throws(Problem) -> Response {
        if path.isRoot { throw Problem(.conflict, "conflict", "the root stays") }
        let conditions = Conditions(call.headers)
        let isRecursive = call.target.value("recursive") == "true"
        let fileSystem = caller.fileSystem
        try await server.threads.run { () throws(Problem) in
            try fileSystem.delete(path, recursively: isRecursive) { conditions.refuseChange($0) }
        }
        return Response(status: .noContent)
    }

    // MARK: Listing

    private struct Listing: Encodable, Sendable {
        var path: String
        var entries: [FileMetadata]
        var next: String?
    }

    private func list(
        _ call: Call, _ caller: Caller, _ path: RequestPath, _ attributes: Attributes
    ) async throws(Problem) -> Response {
        var limit = 1000
        if let text = call.target.value("limit") {
            guard let number = Int(text), (1...10_000).contains(number) else { throw .badRequest("limit is 1 to 10000") }
            limit = number
        }
        var cookie: UInt64 = 0
        if let text = call.target.value("after") {
            guard let number = UInt64(text, radix: 16), number < 1 << 63 else { throw .badRequest("after is what an earlier page said") }
            cookie = number
        }
        let fileSystem = caller.fileSystem
        let directory = attributes.inode
        let hidesOwn = path.isRoot
        let (first, count) = (cookie, limit)
        let page = try await server.threads.run { () throws(Problem) in
            try fileSystem.list(directory, after: first, limit: count, hidesOwn: hidesOwn)
        }
        do {
            return try .json(Listing(path: path.text, entries: page.entries, next: page.next.map { String($0, radix: 16) }))
        } catch { throw Problem(.internalServerError, "internal", "the listing cannot be written") }
    }
}
