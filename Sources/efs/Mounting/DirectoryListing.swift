import Glibc
import Syscalls
import SystemPackage

enum DirectoryListing {
    /// Whether the directory at `path` has no entries.
    static func isEmpty(_ path: String) throws(Failure) -> Bool {
        guard let directory = opendir(path) else {
            let code = Errno(rawValue: errno)
            if code == .notDirectory { throw Failure(.notAVolume, "this is not a directory", object: path) }
            throw Failure(systemCall: "opendir", object: path, code)
        }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { return false }
        }
        return true
    }
}
