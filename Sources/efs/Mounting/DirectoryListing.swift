import Syscalls
import SystemPackage

enum DirectoryListing {
    /// Whether the directory at `path` has no entries.
    static func isEmpty(_ path: String) throws(Failure) -> Bool {
        do { return try directoryNames(path).isEmpty } catch {
            if error == .notDirectory { throw Failure(.notAVolume, "this is not a directory", object: path) }
            throw Failure(systemCall: "opendir", object: path, error)
        }
    }
}
