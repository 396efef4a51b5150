import Glibc
public import SystemPackage

/// What a path leads to, links followed.
public enum PathKind: Sendable {
    case directory
    case other

    /// stat(2).
    public static func of(_ path: String) throws(Errno) -> PathKind {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Errno(rawValue: errno) }
        return status.st_mode & S_IFMT == S_IFDIR ? .directory : .other
    }
}
