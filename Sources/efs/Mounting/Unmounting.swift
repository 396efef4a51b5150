import Glibc
import Syscalls
import SystemPackage

/// Takes a mount away: as root by umount2(2), as another user by fusermount3, which may.
enum Unmounting {
    static func unmount(_ path: String, lazily: Bool = false) throws(Failure) {
        if geteuid() == 0 {
            guard umount2(path, Int32(UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0))) != 0 else { return }
            throw failure(Errno(rawValue: errno), path)
        }
        let result = try ChildProcess.run("fusermount3", ["-u"] + (lazily ? ["-z"] : []) + ["--", path])
        guard result.status != 0 else { return }
        let text = result.errorText
        throw text.contains("busy")
            ? failure(.resourceBusy, path)
            : Failure(.notPermitted, text.isEmpty ? "fusermount3 could not unmount it" : text, object: path)
    }

    /// Every FUSE mount at `path`, also of a process that has died. Another kind of mount is left alone.
    static func unmountAll(at path: String) throws(Failure) {
        while let mount = try MountTable.current().mount(at: path) {
            guard mount.type.hasPrefix("fuse") else {
                throw Failure(.busy, "\(mount.source) (\(mount.type)) is mounted there, which efs does not unmount", object: path)
            }
            try unmount(path)
        }
    }

    private static func failure(_ code: Errno, _ path: String) -> Failure {
        switch code {
        case .resourceBusy:
            Failure(.busy, "it is in use", object: path, hint: "'fuser -vm \(path)' shows by whom; --lazy unmounts it when they are done")
        case .invalidArgument: Failure(.missing, "nothing is mounted there", object: path)
        default: Failure(systemCall: "umount", object: path, code)
        }
    }
}
