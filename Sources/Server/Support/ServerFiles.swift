import Glibc
import Sealing
import Syscalls
import SystemPackage

/// The small files of the server's root: read with a bound, replaced in one step and durably.
enum ServerFiles {
    static let largestSizeBytes = 1 << 20

    /// The file's content; nil if there is none.
    static func read(_ path: String, limitBytes: Int = largestSizeBytes) throws(Failure) -> [UInt8]? {
        do throws(Errno) {
            let file: OwnedDescriptor
            do throws(Errno) { file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY | O_NOFOLLOW) } catch {
                if error == .noSuchFileOrDirectory { return nil }
                throw error
            }
            var bytes = [UInt8](repeating: 0, count: limitBytes + 1)
            let count = try bytes.withMutableBytes { (buffer) throws(Errno) in try file.read(at: 0, into: buffer) }
            guard count <= limitBytes else { throw .fileTooLarge }
            bytes.removeLast(bytes.count - count)
            return bytes
        } catch {
            throw Failure(systemCall: "reading", object: path, error)
        }
    }

    /// Writes beside it, syncs, renames, syncs the directory: after a crash the file is the old one or the new one.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) throws(Failure) {
        let temporary = path + ".new"
        do throws(Errno) {
            _ = unlink(temporary)
            let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
            try bytes.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            try file.sync()
            if Glibc.rename(temporary, path) != 0 { throw Errno.current }
            try OwnedDescriptor.open(parent(of: path), O_RDONLY | O_DIRECTORY).sync()
        } catch {
            throw Failure(systemCall: "writing", object: path, error)
        }
    }

    /// A new file, or all of an old one, on stable storage; its name is once its directory is synced.
    static func write(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws(Failure) {
        do throws(Errno) {
            let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
            try bytes.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            try file.sync()
        } catch { throw Failure(systemCall: "writing", object: path, error) }
    }

    static func rename(_ path: String, to new: String) throws(Failure) {
        if Glibc.rename(path, new) != 0 { throw Failure(systemCall: "renaming", object: path, Errno.current) }
    }

    /// Nothing happens if there is none.
    static func remove(_ path: String) throws(Failure) {
        if unlink(path) != 0, errno != ENOENT { throw Failure(systemCall: "deleting", object: path, Errno.current) }
    }

    static func syncDirectory(_ path: String) throws(Failure) {
        do throws(Errno) { try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY).sync() } catch {
            throw Failure(systemCall: "syncing", object: path, error)
        }
    }

    /// Makes the directory, 0700, if it is not there.
    static func makeDirectory(_ path: String) throws(Failure) {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw Failure(systemCall: "making a directory", object: path, Errno.current) }
    }

    static func exists(_ path: String) -> Bool {
        faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// Keeps other processes from it as long as the descriptor lives. Fails with `.busy`.
    static func lock(_ path: String) throws(Failure) -> OwnedDescriptor {
        do throws(Errno) {
            let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            if try file.tryLock(exclusive: true) { return file }
        } catch { throw Failure(systemCall: "locking", object: path, error) }
        throw Failure(.busy, "another efs-server uses this directory", object: parent(of: parent(of: path)))
    }

    static func isDirectory(_ path: String) -> Bool {
        (try? OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)) != nil
    }

    /// Names in a directory, but "." and "..", in order; none if it is not there.
    static func names(in path: String) throws(Failure) -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw Failure(systemCall: "listing", object: path, Errno.current)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
