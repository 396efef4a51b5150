import Glibc
import Syscalls
import SystemPackage

/// Runs a small program of the system to its end.
enum ChildProcess {
    struct Result {
        /// The exit status, or 128 and the signal.
        var status: Int32
        var errorText: String
    }

    /// `program` is looked for in PATH.
    static func run(_ program: String, _ arguments: [String]) throws(Failure) -> Result {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure(systemCall: "socketpair", object: program, Errno(rawValue: errno))
        }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var process: pid_t = 0
        let status = CStrings.with([program] + arguments) { posix_spawnp(&process, program, &actions, nil, $0, environ) }
        close(ends[1])
        guard status == 0 else {
            throw Failure(
                .notPermitted, "cannot run it", object: program, hint: "install the package that has it (fuse3 for fusermount3)",
                cause: Errno(rawValue: status))
        }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(ends[0], $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            text += buffer[..<count]
        }
        var code: Int32 = 0
        while waitpid(process, &code, 0) < 0 && errno == EINTR {}
        let signal = code & 0x7F
        return Result(status: signal == 0 ? code >> 8 & 0xFF : 128 + signal, errorText: String(decoding: text, as: UTF8.self))
    }
}
