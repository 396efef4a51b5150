public import Glibc
public import Sealing
public import Syscalls
import SystemPackage

/// Files that hold keys and certificates.
public enum KeyFile {
    /// Larger files are refused: a key ring of hundreds of signatures fits.
    public static let largestSizeBytes = 1 << 20

    /// The file's bytes, in guarded memory. Works for pipes and devices too.
    public static func read(_ path: String) throws(Failure) -> SecretBytes {
        let file: OwnedDescriptor
        do { file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY) } catch {
            throw Failure(systemCall: "open", object: path, error)
        }
        var size = 0
        var cause: Errno?
        let room = SecretBytes(count: largestSizeBytes + 1) { room in
            while size < room.count {
                let count = Glibc.read(file.rawValue, room.baseAddress! + size, room.count - size)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { cause = .current }
                if count <= 0 { return }
                size += count
            }
        }
        if let cause { throw Failure(systemCall: "read", object: path, cause) }
        guard size <= largestSizeBytes else {
            throw Failure(.usage, "this is too large for a key", object: path, hint: "the limit is 1 MiB")
        }
        return room.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<size])) }
    }

    /// Puts `contents` at `path` whole or not at all: a new file beside it, only for its owner by default, is written, synced and
    /// renamed, and the directory synced.
    public static func write(_ contents: UnsafeRawBufferPointer, to path: String, mode: mode_t = 0o600) throws(Failure) {
        let name = path + "." + Hexadecimal.encode(RandomSource.system.bytes(count: 8)) + ".new"
        var isThere = false
        defer { if isThere { unlink(name) } }
        do {
            let file = try OwnedDescriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
            isThere = true
            // The umask may have taken bits away that the caller wants.
            _ = try retrying { fchmod(file.rawValue, mode) }
            try file.write(contents, at: 0)
            try file.sync()
            _ = try retrying { rename(name, path) }
            isThere = false
            try OwnedDescriptor.open(directory(of: path), O_RDONLY | O_DIRECTORY).sync()
        } catch {
            throw Failure(systemCall: "writing", object: path, error)
        }
    }

    public static func write(_ secret: SecretBytes, to path: String) throws(Failure) {
        try secret.withUnsafeBytes { (bytes) throws(Failure) in try write(bytes, to: path) }
    }

    public static func write(_ text: String, to path: String, mode: mode_t = 0o600) throws(Failure) {
        try Array(text.utf8).withBytes { (bytes) throws(Failure) in try write(bytes, to: path, mode: mode) }
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension KeyFile {
    /// The file's first line, without its end: a passphrase.
    public static func firstLine(_ path: String) throws(Failure) -> SecretBytes {
        try read(path).withUnsafeBytes { bytes in
            SecretBytes(copying: UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count)]))
        }
    }
}
