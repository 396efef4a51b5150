import Glibc

enum DirectoryListing {
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && mode_t(status.st_mode) & S_IFMT == S_IFDIR
    }
}
