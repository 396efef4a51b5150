import FileSystem
import HTTPTypes
import HummingbirdCore
import Syscalls
import SystemPackage

/// Metadata, moving, copying, and the file system as a whole.
extension APIResponder {
    // MARK: Metadata

    private struct MetadataChange: Decodable, Sendable {
        var modified: Int64?
        var modifiedNanoseconds: UInt32?
        var mode: UInt32?
    }

    func metadataStep(_ call: Call, _ caller: Caller, _ path: RequestPath) async throws(Problem) -> Step {
        if path.isReserved { throw .notFound }
        let rights = caller.user.grants.rights(at: path)
        let fileSystem = caller.fileSystem
        switch call.method {
        case .get, .head:
            guard rights.contains(.list) else { throw .forbidden }
            let metadata = try await server.threads.run { () throws(Problem) in try fileSystem.metadata(path) }
            return .reply(try Self.reply(metadata))
        case .patch:
            guard rights.contains(.write) else { throw .forbidden }
            let conditions = Conditions(call.headers)
            let threads = server.threads
            return .receive { body in
                let change = try await RequestJSON.read(MetadataChange.self, body)
                let changes = try Self.attributeChanges(change)
                let metadata = try await threads.run { () throws(Problem) in
                    let attributes = try fileSystem.find(path)
                    if let refusal = conditions.refuseChange(attributes) { throw refusal }
                    _ = try fileSystem.engine { (files) throws(Errno) in try files.setAttributes(attributes.inode, changes) }
                    fileSystem.attributesChanged(attributes.inode)
                    try fileSystem.engine { (files) throws(Errno) in try files.synchronize(attributes.inode, dataOnly: false) }
                    return try fileSystem.metadata(path)
                }
                return try Self.reply(metadata)
            }
        default: throw .methodNotAllowed("GET, HEAD, PATCH")
        }
    }

    private static func attributeChanges(_ change: MetadataChange) throws(Problem) -> AttributeChanges {
        var changes = AttributeChanges()
        if let mode = change.mode {
            guard mode <= 0o777 else { throw .badRequest("mode is up to 511") }
            changes.mode = mode
        }
        if let seconds = change.modified {
            let nanoseconds = change.modifiedNanoseconds ?? 0
            guard abs(seconds) < 1 << 40, nanoseconds < 1_000_000_000 else { throw .badRequest("modified is in seconds since 1970") }
            changes.modificationTime = .at(Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        }
        return changes
    }

    private static func reply(_ metadata: FileMetadata, status: HTTPResponse.Status = .ok) throws(Problem) -> Response {
        do {
            var response = try Response.json(metadata, status: status)
            response.headers[.eTag] = metadata.etag
            return response
        } catch { throw Problem(.internalServerError, "internal", "the metadata cannot be written") }
    }

    // MARK: Moving and copying

    private struct Transfer: Decodable, Sendable {
        var from: String
        var to: String
        var overwrite: Bool?
    }

    func transferStep(_ call: Call, _ caller: Caller, copies: Bool) throws(Problem) -> Step {
        guard call.method == .post else { throw .methodNotAllowed("POST") }
        let (fileSystem, threads, user) = (caller.fileSystem, server.threads, caller.user)
        return .receive { body in
            let transfer = try await RequestJSON.read(Transfer.self, body)
            let from = try RequestPath.parse(text: transfer.from)
            let to = try RequestPath.parse(text: transfer.to)
            if from.isReserved || to.isReserved { throw Problem.notFound }
            call.note(from, caller)
            call.note(to, caller)
            let overwrites = transfer.overwrite ?? false
            let needed: Rights = copies ? .read : [.read, .delete]
            guard user.grants.rights(at: from).isSuperset(of: needed), user.grants.rights(at: to).contains(.write) else {
                throw Problem.forbidden
            }
            guard !overwrites || copies || user.grants.rights(at: to).contains(.delete) else { throw Problem.forbidden }
            let done = try await threads.run { () throws(Problem) in
                copies
                    ? try fileSystem.copy(from, to: to, overwrites: overwrites, by: user)
                    : try fileSystem.move(from, to: to, overwrites: overwrites)
            }
            return try Self.reply(done.metadata, status: done.isNew ? .created : .ok)
        }
    }

    // MARK: The file system

    private struct FileSystemDescription: Encodable {
        var name: String
        var user: String
        var grants: [Grant]
        var quotaBytes: UInt64?
        var usedBytes: UInt64
        var userQuotaBytes: UInt64?
        var userUsedBytes: UInt64
        var isCounting: Bool?
        var freeBytes: UInt64
        var maximumBodyBytes: UInt64
    }

    func describeFileSystem(_ call: Call, _ caller: Caller) async throws -> Response {
        guard call.method == .get || call.method == .head else { throw Problem.methodNotAllowed("GET, HEAD") }
        let fileSystem = caller.fileSystem
        let statistics = try await server.threads.run { () throws(Problem) in
            try fileSystem.engine { (files) throws(Errno) in try files.statistics() }
        }
        let sums = fileSystem.usage.sums
        return try .json(
            FileSystemDescription(
                name: fileSystem.name, user: caller.user.name, grants: caller.user.record.grants, quotaBytes: fileSystem.quotaBytes,
                usedBytes: sums.total, userQuotaBytes: caller.user.record.quotaBytes, userUsedBytes: sums.groups[caller.user.group] ?? 0,
                isCounting: sums.isCounting ? true : nil,
                freeBytes: statistics.availableBlocks * UInt64(statistics.blockSizeBytes),
                maximumBodyBytes: server.options.maximumBodyBytes))
    }
}
