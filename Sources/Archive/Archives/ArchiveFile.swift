import Glibc
public import Sealing
public import Syscalls
import SystemPackage

/// An archive that is being written to a file: under another name beside it until it is whole and on disk, so that a failure
/// leaves what was there before. What is no regular file (a pipe, a device) is written to directly.
public final class ArchiveFile {
    public let descriptor: OwnedDescriptor
    private let path: String
    private var temporaryPath: String?

    public init(path: String, random: RandomSource = .system) throws(Failure) {
        self.path = path
        var status = stat()
        do throws(Errno) {
            if stat(path, &status) == 0, mode_t(status.st_mode) & S_IFMT != S_IFREG {
                descriptor = try OwnedDescriptor.open(path, O_WRONLY | O_NOCTTY)
                return
            }
            let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
            let temporary = path[..<slash] + ".efs-tar-" + String(random.next(), radix: 16)
            descriptor = try OwnedDescriptor.open(String(temporary), O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            temporaryPath = String(temporary)
        } catch { throw Failure(systemCall: "making the archive", object: path, error) }
    }

    /// Gives the file its name, once it is on disk.
    public func commit() throws(Failure) {
        guard let temporaryPath else { return }
        do throws(Errno) {
            try descriptor.sync()
            _ = try retrying { rename(temporaryPath, path) }
            self.temporaryPath = nil
            let slash = path.lastIndex(of: "/")
            try OwnedDescriptor.open(slash.map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY).sync()
        } catch { throw Failure(systemCall: "writing the archive", object: path, error) }
    }

    deinit {
        if let temporaryPath { unlink(temporaryPath) }
    }
}
