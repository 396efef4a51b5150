import Syscalls
import SystemPackage

/// Failures of a tree's store, in the kinds that the restorer knows.
enum TreeFailure {
    static func of(_ what: String, _ object: String?, _ errno: Errno) -> Failure {
        var failure = Failure(systemCall: what, object: object ?? "", errno)
        failure.object = object
        if errno == .directoryNotEmpty || errno == .isDirectory { failure.kind = .notEmpty }
        return failure
    }
}
