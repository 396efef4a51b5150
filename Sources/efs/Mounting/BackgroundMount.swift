import CSyscalls
import Glibc
import Sealing
import Syscalls
import SystemPackage

/// Starts the process that serves a mount, and waits until it does.
///
/// The new process is this program again (posix_spawn of /proc/self/exe), in a session of its own, with nothing open but
/// the handover socket: a fork of a process that may have threads would not be safe, and descriptors of the caller, such
/// as the pipe of a script that waits for our output, would be held as long as the mount lives.
struct BackgroundMount {
    let request: MountRequest
    let password: SecretBytes

    func start() throws(Failure) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure(systemCall: "socketpair", object: "efs mount", Errno(rawValue: errno))
        }
        let handover = Handover(descriptor: ends[0])
        defer { close(ends[0]) }
        let process = try spawn(handover: ends[1])
        let answer: Handover.Answer?
        do throws(Failure) {
            try handover.send(password)
            answer = try handover.receiveAnswer()
        } catch {
            throw Self.end(of: process) ?? error
        }
        switch answer {
        case .ready(let keysMayBeSwapped): if keysMayBeSwapped || !SecretMemory.isFullyLocked { Console.warn(Console.unlockedMemory) }
        case .failed(let kind, let message, let hint):
            // Not before it has let go of the volume: the caller may try again at once.
            _ = Self.end(of: process)
            throw Failure(kind, message, hint: hint)
        case nil: throw Self.end(of: process) ?? Failure(.inputOutput, "the mount process gave no answer")
        }
    }

    /// What is to be said of a serving process that ended without an answer.
    private static func end(of process: pid_t) -> Failure? {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { return nil }
        }
        let signal = status & 0x7F
        let how = signal == 0 ? "with status \(status >> 8 & 0xFF)" : "by signal \(signal)"
        return Failure(.inputOutput, "the mount process ended unexpectedly, \(how)", hint: "'efs mount --foreground' shows more")
    }

    /// Starts the process with `descriptor` as its end of the handover, which is closed here.
    private func spawn(handover descriptor: Int32) throws(Failure) -> pid_t {
        defer { close(descriptor) }
        var process: pid_t = 0
        let arguments = ["efs"] + request.arguments(handover: Handover.childDescriptor)
        let status = CStrings.with(arguments) { arguments in
            CStrings.with(Self.environment) { environment in
                efs_spawn_detached(&process, "/proc/self/exe", descriptor, Handover.childDescriptor, arguments, environment)
            }
        }
        guard status == 0 else { throw Failure(systemCall: "posix_spawn", object: "/proc/self/exe", Errno(rawValue: status)) }
        return process
    }

    /// Only what a mount needs, and so no `EFS_PASSWORD`.
    private static var environment: [String] {
        let names = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"]
        return names.compactMap { name in getenv(name).map { name + "=" + String(cString: $0) } }
    }
}

/// Arrays of C strings for system calls.
enum CStrings {
    static func with<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
