import FileSystem
import FoundationEssentials
import HTTPTypes
import HummingbirdCore
import NIOCore
import Sealing

extension HTTPField.Name {
    static let tusResumable = HTTPField.Name("Tus-Resumable")!
    static let tusVersion = HTTPField.Name("Tus-Version")!
    static let tusExtension = HTTPField.Name("Tus-Extension")!
    static let tusMaximumSize = HTTPField.Name("Tus-Max-Size")!
    static let tusChecksumAlgorithm = HTTPField.Name("Tus-Checksum-Algorithm")!
    static let uploadLength = HTTPField.Name("Upload-Length")!
    static let uploadOffset = HTTPField.Name("Upload-Offset")!
    static let uploadMetadata = HTTPField.Name("Upload-Metadata")!
    static let uploadExpires = HTTPField.Name("Upload-Expires")!
    static let uploadChecksum = HTTPField.Name("Upload-Checksum")!
}

/// Uploads that go on after a cut: tus 1.0.0.
extension APIResponder {
    private static let version = "1.0.0"

    func uploadStep(_ call: Call, _ caller: Caller, id: Substring?) async throws(Problem) -> Step {
        if call.method == .options, id == nil { return .reply(uploadOptions()) }
        guard call.headers[.tusResumable] == Self.version else {
            throw Problem(.preconditionFailed, "precondition-failed", "the request needs Tus-Resumable: \(Self.version)")
                .with(.tusVersion, Self.version)
        }
        guard let id else {
            guard call.method == .post else { throw .methodNotAllowed("POST, OPTIONS") }
            return try await createUpload(call, caller)
        }
        let (store, user, now) = (caller.fileSystem.uploads, caller.user.name, server.clock.now())
        let name = String(id)
        switch call.method {
        case .head:
            let upload = try await server.threads.run { () throws(Problem) in try store.find(name, user: user, now: now) }
            return .reply(Response(status: .ok, headers: Self.headers(upload)))
        case .delete:
            try await server.threads.run { () throws(Problem) in
                try store.hold(name)
                defer { store.letGo(name) }
                try store.remove(try store.find(name, user: user, now: now))
            }
            return .reply(Response(status: .noContent, headers: [.tusResumable: Self.version]))
        case .patch: return try await appendStep(call, caller, name)
        default: throw .methodNotAllowed("HEAD, PATCH, DELETE")
        }
    }

    private func uploadOptions() -> Response {
        Response(
            status: .noContent,
            headers: [
                .tusResumable: Self.version, .tusVersion: Self.version,
                .tusExtension: "creation,creation-with-upload,expiration,termination,checksum",
                .tusMaximumSize: String(server.options.maximumBodyBytes), .tusChecksumAlgorithm: "sha256,sha512",
            ])
    }

    private static func headers(_ upload: UploadStore.Upload) -> HTTPFields {
        [
            .tusResumable: version, .uploadOffset: String(upload.offset), .uploadLength: String(upload.record.length),
            .uploadExpires: HTTPDate.format(.init(seconds: upload.expires)), .cacheControl: "no-store",
        ]
    }

    // MARK: Creation

    private func createUpload(_ call: Call, _ caller: Caller) async throws(Problem) -> Step {
        guard let length = call.headers[.uploadLength].flatMap({ UInt64($0) }) else { throw .badRequest("Upload-Length is missing") }
        guard length <= server.options.maximumBodyBytes else { throw .tooLarge }
        let record = try uploadRecord(call, caller, length)
        let (store, user, now) = (caller.fileSystem.uploads, caller.user, server.clock.now())
        let withContent = call.headers[.contentType] == "application/offset+octet-stream"
        // An upload that would not fit is not begun. Nothing is held for one that is: its parts are, as they come.
        let path = try UploadStore.path(of: record)
        call.note(path, caller)
        let whole = try await server.threads.run { () throws(Problem) in
            try store.fileSystem.claim(for: user, replacing: path, inParts: true)
        }
        try whole?.grow(by: length)
        let announced = withContent ? call.headers[.contentLength].flatMap { UInt64($0) } : 0
        return .receive { body in
            let upload = try await self.server.threads.run { () throws(Problem) in try store.create(record, group: user.group, now: now) }
            var response: Response
            if withContent || length == 0 {
                response = try await self.receive(body, for: upload, caller, checksum: nil, announced: announced, call.notes)
            } else {
                response = Response(status: .noContent, headers: Self.headers(upload))
            }
            response.status = .created
            response.headers[.location] = "/v1/uploads/\(upload.id)"
            return response
        }
    }

    private func uploadRecord(_ call: Call, _ caller: Caller, _ length: UInt64) throws(Problem) -> UploadRecord {
        var values: [String: String] = [:]
        for pair in (call.headers[.uploadMetadata] ?? "").split(separator: ",") {
            let parts = pair.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
            guard (1...2).contains(parts.count), let value = parts.count > 1 ? Base64.decode(parts[1]) : [] else {
                throw .badRequest("Upload-Metadata is malformed")
            }
            values[parts[0]] = String(decoding: value, as: UTF8.self)
        }
        guard let text = values["path"] else { throw .badRequest("Upload-Metadata needs a path") }
        let path = try RequestPath.parse(text: text)
        if path.isReserved || path.namesDirectory { throw Problem(.conflict, "not-a-file", "this path is no file's") }
        guard caller.user.grants.rights(at: path).contains(.write) else { throw .forbidden }
        var record = UploadRecord(user: caller.user.name, path: Base64URL.encode(text.utf8), length: length)
        if let modified = try values["modified"].map(WriteOptions.parseTime) {
            record.modified = modified.seconds
            record.modifiedNanoseconds = modified.nanoseconds
        }
        record.mode = try values["mode"].map(WriteOptions.parseMode)
        if let digest = values["sha256"] {
            guard Hexadecimal.decode(digest)?.count == 32 else { throw .badRequest("sha256 is 64 hexadecimal digits") }
            record.sha256 = digest
        }
        record.ifMatch = values["ifMatch"]
        record.ifNoneMatch = values["ifNoneMatch"]
        return record
    }

    // MARK: Content

    private func appendStep(_ call: Call, _ caller: Caller, _ id: String) async throws(Problem) -> Step {
        guard call.headers[.contentType] == "application/offset+octet-stream" else {
            throw Problem(.unsupportedMediaType, "unsupported-type", "the content is application/offset+octet-stream")
        }
        guard let offset = call.headers[.uploadOffset].flatMap({ UInt64($0) }) else { throw .badRequest("Upload-Offset is missing") }
        let checksum = try call.headers[.uploadChecksum].map { (value) throws(Problem) in try UploadChecksum(value) }
        let (store, user, now) = (caller.fileSystem.uploads, caller.user.name, server.clock.now())
        let upload = try await server.threads.run { () throws(Problem) in try store.find(id, user: user, now: now) }
        guard upload.offset == offset else { throw Self.offsetMismatch(upload) }
        let announced = call.headers[.contentLength].flatMap { UInt64($0) }
        let path = try UploadStore.path(of: upload.record)
        call.note(path, caller)
        // What does not fit is refused before it is sent; the last word falls as it is written.
        let fits = try await server.threads.run { () throws(Problem) in
            try store.fileSystem.claim(for: caller.user, replacing: path, inParts: true)
        }
        if let announced { try fits?.grow(by: announced) }
        return .receive { body in try await self.receive(body, for: upload, caller, checksum: checksum, announced: announced, call.notes) }
    }

    private static func offsetMismatch(_ upload: UploadStore.Upload) -> Problem {
        Problem(.conflict, "offset-mismatch", "the upload is at another offset").with(.uploadOffset, String(upload.offset))
    }

    /// Takes what comes, keeps what arrived of it when it is cut, and commits what is complete.
    private func receive(
        _ body: RequestBody, for found: UploadStore.Upload, _ caller: Caller, checksum: UploadChecksum?, announced: UInt64?,
        _ notes: AccessNotes
    ) async throws -> Response {
        let (store, threads) = (caller.fileSystem.uploads, server.threads)
        try store.hold(found.id)
        defer { store.letGo(found.id) }
        let (user, now) = (caller.user.name, server.clock.now())
        var upload = try await threads.run { () throws(Problem) in try store.find(found.id, user: user, now: now) }
        guard upload.offset == found.offset else { throw Self.offsetMismatch(upload) }
        let path = try UploadStore.path(of: upload.record)
        let claim = try await threads.run { () throws(Problem) in
            try store.fileSystem.claim(for: caller.user, replacing: path, inParts: true)
        }
        claim?.attach(to: upload.inode)
        if let announced { try claim?.grow(by: announced) }
        var pending = ByteBuffer()
        var hash = checksum
        var failure: Problem?
        do {
            for try await part in body {
                guard upload.offset + UInt64(pending.readableBytes + part.readableBytes) <= upload.record.length else {
                    throw Problem(.contentTooLarge, "too-large", "that is more than the upload was said to have")
                }
                if announced == nil { try claim?.grow(by: UInt64(part.readableBytes)) }
                notes.add(received: part.readableBytes)
                hash?.update(part)
                pending.writeImmutableBuffer(part)
                if pending.readableBytes >= BodyReceiver.stepBytes {
                    try await append(&pending, &upload, store)
                }
            }
        } catch let problem as Problem { failure = problem } catch { failure = .cutBody(error) }
        if failure?.code != "too-large" { try await append(&pending, &upload, store) }
        if hash?.fits == false || hash != nil && failure != nil {
            let upload = upload
            try await threads.run { () throws(Problem) in try store.cut(upload, to: found.offset) }
            throw failure ?? Problem(.checksumMismatch, "checksum-mismatch", "the content is not the one that its checksum was made of")
        }
        let complete = upload
        guard failure == nil, upload.offset == upload.record.length else {
            try await threads.run { () throws(Problem) in try store.synchronize(complete) }
            if let failure { throw failure }
            return Response(status: .noContent, headers: Self.headers(upload))
        }
        let published = try await threads.run { () throws(Problem) in try store.finish(complete, by: caller.user) }
        var headers = Self.headers(upload)
        headers[.eTag] = published.attributes.entityTag
        return Response(status: .noContent, headers: headers)
    }

    private func append(_ pending: inout ByteBuffer, _ upload: inout UploadStore.Upload, _ store: UploadStore) async throws(Problem) {
        guard pending.readableBytes > 0 else { return }
        let (bytes, current) = (pending, upload)
        try await server.threads.run { () throws(Problem) in try store.append(current, at: current.offset, bytes) }
        upload.offset += UInt64(bytes.readableBytes)
        pending = ByteBuffer()
    }
}
