import FileSystem
import FoundationEssentials
import HTTPTypes
import HummingbirdCore
import NIOCore
import Sealing
import SystemPackage

/// Files by path.
extension APIResponder {
    func dataStep(_ call: Call, _ caller: Caller, _ path: RequestPath?) async throws(Problem) -> Step {
        guard let path else { throw .notFound }
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

    private typealias Opened = ServedFileSystem.Opened

    private func read(_ call: Call, _ caller: Caller, _ path: RequestPath, _ rights: Rights) async throws(Problem) -> Response {
        guard !rights.isDisjoint(with: [.read, .list]) else { throw .forbidden }
        let fileSystem = caller.fileSystem
        let wantsDigest = BodyDigests.wantsSHA256(call.headers)
        let wantsContent = call.method == .get || wantsDigest
        let (cache, clock) = (server.cache, server.clock)
        let encoded = Self.rest(of: call.target.path.dropFirst(call.target.path.hasPrefix("/v1/") ? 3 : 0), after: "/data")
        let opened = try await server.threads.run { () throws(Problem) -> Opened in
            let attributes = try fileSystem.find(path, retaining: wantsContent)
            guard wantsContent else { return Opened(attributes: attributes) }
            guard attributes.type == .regular, rights.contains(.read), attributes.sizeBytes <= ServedFileSystem.smallFileBytes else {
                return Opened(attributes: attributes)
            }
            defer { fileSystem.release(attributes.inode) }
            let opened = try fileSystem.readWhole(attributes, cache, now: clock.monotonic())
            if let encoded { fileSystem.makeHot(path, encoded, opened) }
            return opened
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
        if BodyDigests.wantsSHA256(call.headers) {
            let digest = try await reprDigest(attributes, content, fileSystem)
            withExtendedLifetime(retained) {}
            headers[.reprDigest] = "sha-256=:\(Base64.encode(digest.bytes)):"
        }
        if call.method == .head { return Response(status: status, headers: headers) }
        if let content, let slice = content.getSlice(at: content.readerIndex + Int(range.lowerBound), length: range.count) {
            return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: slice))
        }
        guard let retained else { throw Problem(.internalServerError, "internal", "the file went while it was opened") }
        let stream = FileStream(
            fileSystem: fileSystem, threads: server.threads, cache: server.cache, clock: server.clock, file: retained,
            attributes: attributes,
            range: range)
        return Response(
            status: status, headers: headers,
            body: ResponseBody(contentLength: range.count) { writer in try await stream.write(to: &writer) })
    }

    /// SHA-256 of the whole file, which is read for it, past the decrypted cache.
    private func reprDigest(
        _ attributes: Attributes, _ content: ByteBuffer?, _ fileSystem: ServedFileSystem
    ) async throws(Problem) -> Digest32 {
        var hasher = DigestHasher()
        if let content {
            content.withUnsafeReadableBytes { hasher.update($0) }
            return hasher.finish()
        }
        let (inode, size) = (attributes.inode, attributes.sizeBytes)
        var offset: UInt64 = 0
        while offset < size {
            let start = offset
            let piece = try await server.threads.run { () throws(Problem) in
                try fileSystem.read(inode, at: start, count: Int(min(1 << 20, size - start)))
            }
            guard piece.readableBytes > 0 else { break }
            piece.withUnsafeReadableBytes { hasher.update($0) }
            offset += UInt64(piece.readableBytes)
        }
        let now = try await server.threads.run { () throws(Problem) in
            try fileSystem.engine { (files) throws(Errno) in try files.attributes(inode) }
        }
        guard now.modificationTime == attributes.modificationTime, now.sizeBytes == size, offset == size else {
            throw Problem(.conflict, "conflict", "the file was changed while it was read")
        }
        return hasher.finish()
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
        let (fileSystem, threads, server) = (caller.fileSystem, server.threads, server)
        // What can be refused without the body is; the last word falls with the commit.
        if options.conditions.ifMatch != nil || options.conditions.ifNoneMatch != nil || call.headers[.expect] != nil {
            try await threads.run { () throws(Problem) in
                var existing: Attributes?
                do throws(Problem) { existing = try fileSystem.find(path) } catch { if error.status != .notFound { throw error } }
                if let refusal = options.conditions.refuseChange(existing) { throw refusal }
                if existing?.type == .directory { throw Problem(.isDirectory) }
            }
        }
        return .receive { body in
            let mode = options.mode ?? 0o644
            let receiver = BodyReceiver(
                fileSystem: fileSystem, threads: threads, parent: path.parent, mode: mode, limitBytes: limit)
            let received = try await receiver.receive(body, expected: options.length, digests: options.digests)
            let published = try await threads.run { () throws(Problem) in
                // Directories are made only when the content is here: a cut upload leaves nothing.
                let directory = try fileSystem.makeDirectories(path.parent).inode
                let inode = if let inode = received.inode { inode } else { try fileSystem.makeUnnamed(directory, mode: mode) }
                // Published or not, nobody holds it afterwards.
                defer { fileSystem.release(inode) }
                try fileSystem.write(inode, at: received.writtenBytes, received.rest)
                // What was written to the old file meanwhile, in a mount, counts too.
                if options.conditions.ifMatch != nil { _ = try? fileSystem.find(path) }
                return try fileSystem.publish(
                    inode, as: name, in: directory, modified: options.modified, keepsMode: options.mode == nil
                ) { existing in options.conditions.refuseChange(existing) }
            }
            server.metrics.bytesReceived.increment(by: Int64(published.attributes.sizeBytes))
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
            try fileSystem.listSettled(directory, after: first, limit: count, hidesOwn: hidesOwn)
        }
        do {
            return try .json(Listing(path: path.text, entries: page.entries, next: page.next.map { String($0, radix: 16) }))
        } catch { throw Problem(.internalServerError, "internal", "the listing cannot be written") }
    }
}
