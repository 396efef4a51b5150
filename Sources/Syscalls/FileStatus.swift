import Glibc
public import SystemPackage

/// Which file a path leads to, as stat(2) tells. For modules where the members of `struct stat` count as Foundation's.
public struct FileStatus: Sendable {
    public let device: UInt64
    public let inode: UInt64
    public let isDirectory: Bool

    private init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        isDirectory = status.st_mode & S_IFMT == S_IFDIR
    }

    /// Through symbolic links.
    public init(of path: String) throws(Errno) {
        var status = stat()
        if stat(path, &status) != 0 { throw Errno.current }
        self.init(status)
    }
}
