import FileSystem
import FoundationEssentials
import HTTPTypes
import NIOCore
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// The uploads of a file system that are not complete: files in a directory of the server's own, in the volume. Synchronous, called on engine
/// threads only. Thread-safe: who appends to an upload or ends it holds it.
struct UploadStore: Sendable {
    static let lifetimeSeconds: Int64 = 24 * 3600
    private static let attribute = Array("user.efs.upload".utf8)
    private static let directory: [[UInt8]] = [RequestPath.ownDirectory, Array("uploads".utf8)]

    let fileSystem: ServedFileSystem

    struct Upload: Sendable {
        var id: String
        var inode: InodeID
        var record: UploadRecord
        /// Bytes that are there.
        var offset: UInt64
        /// Seconds since 1970.
        var expires: Int64
    }

    static let notFound = Problem(.notFound, "not-found", "there is no such upload")
    static let busy = Problem(.locked, "upload-busy", "another request writes this upload")

    // MARK: Holding

    /// Runs once at a time for an upload. Fails with `upload-busy`.
    func hold(_ id: String) throws(Problem) {
        guard fileSystem.heldUploads.withLock({ $0.insert(id).inserted }) else { throw Self.busy }
    }

    func letGo(_ id: String) { fileSystem.heldUploads.withLock { _ = $0.remove(id) } }

    // MARK: Making and finding

    /// - Parameter group: of the user who writes it.
    func create(_ record: UploadRecord, group: UInt32, now: Int64) throws(Problem) -> Upload {
        let id = Hexadecimal.encode(RandomSource.system.bytes(count: 16))
        let directory = try fileSystem.makeDirectories(Self.directory[...]).inode
        let encoded: [UInt8]
        do { encoded = Array(try JSONEncoder().encode(record)) } catch { throw .badRequest("the upload cannot be described") }
        let inode = try fileSystem.makeUnnamed(directory, mode: 0o600, group: group)
        defer { fileSystem.release(inode) }
        try fileSystem.engine { (files) throws(Errno) in
            try Self.attribute.withBytes { (name) throws(Errno) in
                try encoded.withBytes { (value) throws(Errno) in
                    try files.setExtendedAttribute(inode, name, value: value, mode: .create)
                }
            }
            _ = try Array(id.utf8).withBytes { (name) throws(Errno) in try files.place(inode, directory, name) { $0 == nil } }
            try files.synchronize(inode, dataOnly: false)
        }
        return Upload(id: id, inode: inode, record: record, offset: 0, expires: now + Self.lifetimeSeconds)
    }

    /// The upload, if it is this user's and has not expired.
    func find(_ id: String, user: String, now: Int64) throws(Problem) -> Upload {
        guard id.utf8.count == 32, Hexadecimal.decode(id) != nil else { throw Self.notFound }
        let attributes: Attributes
        let record: UploadRecord?
        do throws(Problem) {
            attributes = try fileSystem.engine { (files) throws(Errno) in
                try fileSystem.find((Self.directory + [Array(id.utf8)])[...], in: files, retaining: false)
            }
            record = try readRecord(attributes.inode)
        } catch {
            throw error.status == .notFound ? Self.notFound : error
        }
        let expires = attributes.modificationTime.seconds + Self.lifetimeSeconds
        guard let record, record.user == user, expires > now else { throw Self.notFound }
        return Upload(id: id, inode: attributes.inode, record: record, offset: attributes.sizeBytes, expires: expires)
    }

    private func readRecord(_ inode: InodeID) throws(Problem) -> UploadRecord? {
        var value = [UInt8](repeating: 0, count: 16 << 10)
        let count = try fileSystem.engine { (files) throws(Errno) in
            try Self.attribute.withBytes { (name) throws(Errno) in
                try value.withMutableBytes { (output) throws(Errno) in try files.extendedAttribute(inode, name, into: output) }
            }
        }
        return try? JSONDecoder().decode(UploadRecord.self, from: Data(value[..<count]))
    }

    // MARK: Content

    func append(_ upload: Upload, at offset: UInt64, _ bytes: ByteBuffer) throws(Problem) {
        try fileSystem.write(upload.inode, at: offset, bytes)
    }

    /// Takes back what was written behind `offset`.
    func cut(_ upload: Upload, to offset: UInt64) throws(Problem) {
        var changes = AttributeChanges()
        changes.sizeBytes = offset
        try fileSystem.engine { (files) throws(Errno) in _ = try files.setAttributes(upload.inode, changes) }
    }

    func synchronize(_ upload: Upload) throws(Problem) {
        try fileSystem.engine { (files) throws(Errno) in try files.synchronize(upload.inode, dataOnly: false) }
    }

    // MARK: Ending

    /// Gives the whole content its name. What fails here ends the upload only where it can never succeed (another digest).
    func finish(_ upload: Upload, by user: User) throws(Problem) -> ServedFileSystem.Published {
        let record = upload.record
        let path = try Self.path(of: record)
        guard let name = path.components.last else { throw Problem(.isDirectory) }
        if let expected = record.sha256, try digest(upload) != expected.lowercased() {
            try remove(upload)
            throw Problem(.badRequest, "digest-mismatch", "the content is not the one that its digest was made of")
        }
        let directory = try fileSystem.makeDirectories(path.parent).inode
        let conditions = Conditions(ifMatch: record.ifMatch, ifNoneMatch: record.ifNoneMatch)
        // Looked at before the upload loses its own name, and once more with the commit.
        let existing = try fileSystem.existing(path)
        if let refusal = conditions.refuseChange(existing) { throw refusal }
        if existing?.type == .directory { throw Problem(.isDirectory) }
        // What is counted already goes out of the sums with the upload's own name, and comes back with the file's.
        let claim = fileSystem.claim(for: user, replacing: existing)
        claim?.attach(to: upload.inode)
        try fileSystem.engine { (files) throws(Errno) in try files.retain(upload.inode) }
        defer { fileSystem.release(upload.inode) }
        var changes = AttributeChanges()
        changes.mode = record.mode ?? 0o644
        try fileSystem.engine { (files) throws(Errno) in
            try Self.attribute.withBytes { (name) throws(Errno) in try files.removeExtendedAttribute(upload.inode, name) }
            _ = try files.setAttributes(upload.inode, changes)
        }
        claim?.hold(record.length)
        try remove(upload)
        let modified = record.modified.map { Timestamp(seconds: $0, nanoseconds: record.modifiedNanoseconds ?? 0) }
        return try fileSystem.publish(upload.inode, as: name, in: directory, modified: modified, keepsMode: record.mode == nil) {
            conditions.refuseChange($0) ?? claim?.refuses(replacing: $0)
        }
    }

    /// Where the upload goes.
    static func path(of record: UploadRecord) throws(Problem) -> RequestPath {
        guard let bytes = Base64URL.decode(record.path) else { throw notFound }
        return try RequestPath.parse(text: String(decoding: bytes, as: UTF8.self))
    }

    private func digest(_ upload: Upload) throws(Problem) -> String {
        var hasher = DigestHasher()
        var offset: UInt64 = 0
        while offset < upload.record.length {
            let bytes = try fileSystem.read(upload.inode, at: offset, count: Int(min(1 << 20, upload.record.length - offset)))
            if bytes.readableBytes == 0 { break }
            bytes.withUnsafeReadableBytes { hasher.update($0) }
            offset += UInt64(bytes.readableBytes)
        }
        return hasher.finish().description
    }

    /// Takes the upload's own name away, and with it, unless it is held, its content.
    func remove(_ upload: Upload) throws(Problem) {
        try fileSystem.engine { (files) throws(Errno) in
            let directory = try fileSystem.find(Self.directory[...], in: files, retaining: false)
            try Array(upload.id.utf8).withBytes { (name) throws(Errno) in try files.unlink(directory.inode, name) }
        }
    }

    /// Deletes what nobody went on with for too long. Returns how many.
    func removeExpired(now: Int64) throws(Problem) -> Int {
        var expired: [[UInt8]] = []
        var inode: InodeID?
        do throws(Errno) {
            let directory = try fileSystem.find(Self.directory[...], in: fileSystem.files, retaining: false)
            inode = directory.inode
            try fileSystem.files.listDirectory(directory.inode, after: 2, withAttributes: true, retaining: false) { entry in
                if let time = entry.attributes?.modificationTime.seconds, time + Self.lifetimeSeconds <= now {
                    expired.append(Array(entry.name))
                }
                return true
            }
        } catch {
            // Nobody has made an upload yet.
            if error == .noSuchFileOrDirectory { return 0 }
            throw Problem(error)
        }
        guard let inode else { return 0 }
        for name in expired {
            try fileSystem.engine { (files) throws(Errno) in try name.withBytes { (name) throws(Errno) in try files.unlink(inode, name) } }
        }
        return expired.count
    }
}
