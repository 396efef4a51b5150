import CSyscalls
import Glibc
import Syscalls
import SystemPackage

/// Runs `fusermount3`, the set-user-ID program of the fuse3 package: it mounts for ordinary users and passes /dev/fuse back
/// over a socket whose number it finds in _FUSE_COMMFD.
enum FusermountHelper {
    private static let program = "fusermount3"
    private static let hint = "install the package fuse3"

    static func mount(at mountPoint: String, _ options: FUSEMountOptions) throws(Failure) -> OwnedDescriptor {
        var pair: [CInt] = [-1, -1]
        if socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) != 0 {
            throw Failure(systemCall: "socketpair", object: mountPoint, .current)
        }
        let ours = OwnedDescriptor(adopting: pair[0])
        var theirs: OwnedDescriptor? = OwnedDescriptor(adopting: pair[1])
        let arguments = [program, "-o", options.helperData, "--", mountPoint]
        let (child, errors) = try spawn(arguments, inherits: pair[1], keepsOut: pair[0])
        theirs = nil  // so that the end of the child is the end of the stream
        _ = theirs
        let received = efs_receive_descriptor(ours.rawValue)
        let text = readAll(errors)
        let status = try wait(for: child)
        guard received >= 0, status == 0 else {
            if received >= 0 { _ = OwnedDescriptor(adopting: received) }
            throw failure(mountPoint, text, isUnmounting: false)
        }
        return OwnedDescriptor(adopting: received)
    }

    static func unmount(_ mountPoint: String, lazy: Bool) throws(Failure) {
        let (child, errors) = try spawn([program, lazy ? "-uz" : "-u", "--", mountPoint], inherits: nil, keepsOut: nil)
        let text = readAll(errors)
        if try wait(for: child) != 0 { throw failure(mountPoint, text, isUnmounting: true) }
    }

    private static func failure(_ mountPoint: String, _ text: String, isUnmounting: Bool) -> Failure {
        let line = text.split(separator: "\n").first.map(String.init) ?? (isUnmounting ? "unmounting failed" : "mounting failed")
        if line.contains("user_allow_other") {
            return Failure(
                .notPermitted, "other users may not be let in", object: mountPoint,
                hint: "the administrator can allow it with user_allow_other in /etc/fuse.conf")
        }
        if line.contains("busy") {
            return isUnmounting
                ? Failure(
                    .busy, "the mount is in use", object: mountPoint, hint: "close what uses it (fuser -vm shows it), or unmount lazily",
                    cause: .resourceBusy)
                : Failure(.busy, line, object: mountPoint, cause: .resourceBusy)
        }
        if line.contains("not found in /etc/mtab") || line.contains("not mounted") {
            return Failure(.missing, "not a mount point of yours", object: mountPoint)
        }
        return Failure(.notPermitted, line, object: mountPoint)
    }

    /// Starts the helper with `inherits` left open in it; gives its process id and what it writes to standard error.
    private static func spawn(
        _ arguments: [String], inherits: CInt?, keepsOut: CInt?
    ) throws(Failure) -> (pid: pid_t, errors: OwnedDescriptor) {
        var pipeEnds: [CInt] = [-1, -1]
        if efs_pipe(&pipeEnds, O_CLOEXEC) != 0 { throw Failure(systemCall: "pipe2", object: program, .current) }
        let readEnd = OwnedDescriptor(adopting: pipeEnds[0])
        let writeEnd = OwnedDescriptor(adopting: pipeEnds[1])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, writeEnd.rawValue, 2)
        if let keepsOut { posix_spawn_file_actions_addclose(&actions, keepsOut) }
        // The caller's thread may block signals; a program expects that nothing is blocked.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var environment = ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"]
        if let inherits { environment.append("_FUSE_COMMFD=\(inherits)") }
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, program, &actions, &attributes, &argumentPointers, &environmentPointers)
        guard result == 0 else {
            throw Failure(.notPermitted, "cannot be run", object: program, hint: hint, cause: Errno(rawValue: result))
        }
        return (pid, readEnd)
    }

    private static func readAll(_ descriptor: OwnedDescriptor) -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var count = 0
        while count < bytes.count {
            let done = bytes.withUnsafeMutableBytes { Glibc.read(descriptor.rawValue, $0.baseAddress! + count, $0.count - count) }
            if done < 0 && errno == EINTR { continue }
            if done <= 0 { break }
            count += done
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func wait(for child: pid_t) throws(Failure) -> CInt {
        var status: CInt = 0
        do throws(Errno) {
            _ = try retrying { waitpid(child, &status, 0) }
        } catch { throw Failure(systemCall: "waitpid", object: program, error) }
        // WIFEXITED and WEXITSTATUS
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -1
    }
}
