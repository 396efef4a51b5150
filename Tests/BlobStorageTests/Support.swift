import BlobStorage
import Glibc
import Syscalls
import Testing

/// A directory that is gone when the test is over.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/efs-blobs-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(systemCall: "mkdtemp", object: "/tmp", .current) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for name in (try? directoryNames(path)) ?? [] { remove(path + "/" + name) }
        rmdir(path)
    }

    func write(_ bytes: [UInt8], to name: String) throws {
        let file = try OwnedDescriptor.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    func read(_ name: String) throws -> [UInt8] {
        let file = try OwnedDescriptor.open("\(path)/\(name)", O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: Int(try file.status().st_size))
        _ = try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        return bytes
    }
}

extension ReadableBlob {
    func all() throws -> [UInt8] { try bytes(at: 0, count: Int(sizeBytes())) }

    /// What a read of `count` bytes gives, which may be less.
    func bytes(at offset: UInt64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: count)
        let read = try bytes.withUnsafeMutableBytes { try self.read(at: offset, into: $0) }
        #expect(bytes[read...].allSatisfy { $0 == 0xEE })
        return Array(bytes[..<read])
    }
}

extension WritableBlob {
    func write(_ bytes: [UInt8], at offset: UInt64) throws { try bytes.withUnsafeBytes { try write($0, at: offset) } }
}

/// The kind of failure that `body` throws, nil if it throws none.
func failureKind(_ body: () throws -> Void) -> FailureKind? {
    do {
        try body()
        return nil
    } catch { return (error as? Failure)?.kind }
}
