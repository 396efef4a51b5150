import CSyscalls
import Glibc
import LinuxTesting
import SystemPackage

/// Who makes the calls: a user with groups.
struct Identity {
    var uid: uid_t
    var gid: gid_t
    var groups: [gid_t] = []

    /// alice and bob are in no group but their own, carol in two more, dave in one of those alone.
    static let known: [String: Identity] = [
        "root": Identity(uid: 0, gid: 0),
        "alice": Identity(uid: 1001, gid: 1001),
        "bob": Identity(uid: 1002, gid: 1002),
        "carol": Identity(uid: 1003, gid: 1003, groups: [2001, 2002]),
        "dave": Identity(uid: 1004, gid: 2001),
    ]
}

/// A helper process (Tests/PosixHelper). Used by one test, from one thread.
final class Actor {
    let process: pid_t
    private var toHelper: CInt
    private let fromHelper: CInt
    private var received: [UInt8] = []

    private static let program: String = {
        var path = [CChar](repeating: 0, count: 4096)
        let count = max(0, Glibc.readlink("/proc/self/exe", &path, path.count))
        let own = String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/PosixHelper"
    }()

    init(_ identity: Identity, in directory: String) throws(Errno) {
        var (down, up): ([CInt], [CInt]) = ([-1, -1], [-1, -1])
        try checked(efs_pipe(&down, O_CLOEXEC))
        try checked(efs_pipe(&up, O_CLOEXEC))
        let groups = identity.groups.map(String.init).joined(separator: ",")
        let arguments = [Self.program, "\(identity.uid)", "\(identity.gid)", groups, directory]
        process = try Self.spawn(arguments, standardInput: down[0], standardOutput: up[1])
        close(down[0])
        close(up[1])
        (toHelper, fromHelper) = (down[1], up[0])
    }

    private static func spawn(_ arguments: [String], standardInput: CInt, standardOutput: CInt) throws(Errno) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput, 0)
        posix_spawn_file_actions_adddup2(&actions, standardOutput, 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process = pid_t()
        let result = posix_spawn(&process, arguments[0], &actions, &attributes, &pointers, efs_environment())
        if result != 0 { throw Errno(rawValue: result) }
        return process
    }

    func send(_ command: String) {
        let bytes = Array((command + "\n").utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(toHelper, $0.baseAddress! + done, $0.count - done) }
            if count < 0 { return }  // it has ended, and `receive` says so
            done += count
        }
    }

    func receive() -> String {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeSubrange(...end) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            var part = [UInt8](repeating: 0, count: 65_536)
            let count = Glibc.read(fromHelper, &part, part.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return "helper-ended" }
            received += part[..<count]
        }
    }

    func call(_ command: String) -> String {
        send(command)
        return receive()
    }

    /// Ends it as a signal would, with all that it holds.
    func kill() {
        Glibc.kill(process, SIGKILL)
        end()
    }

    /// Ends it in order and waits until it is gone.
    func end() {
        if toHelper < 0 { return }
        close(toHelper)
        toHelper = -1
        close(fromHelper)
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    }

    deinit { end() }
}
