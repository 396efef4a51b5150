package import Glibc
package import SystemPackage

/// What a program left behind.
package struct ProgramResult: Sendable {
    /// The exit status, or 128 and the signal.
    package var status: CInt
    /// Standard output and standard error.
    package var output: String
}

/// Runs a shell script to its end, which stops at the first command that fails.
/// - Parameter asUser: with this user and group id and no other groups; needs root.
package func shell(_ script: String, in directory: String, asUser user: uid_t? = nil) throws(Errno) -> ProgramResult {
    var arguments = ["/bin/sh", "-euc", "cd \"$0\"; " + script, directory]
    if let user { arguments = ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--"] + arguments }
    var ends: [CInt] = [-1, -1]
    try checked(pipe(&ends))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    defer { posix_spawn_file_actions_destroy(&actions) }
    // The threads of the test runner block signals, and a shell that does too never learns that its children have ended.
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
    let result = posix_spawn(&process, arguments[0], &actions, &attributes, &pointers, environ)
    close(ends[1])
    defer { close(ends[0]) }
    if result != 0 { throw Errno(rawValue: result) }
    var output: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(ends[0], &part, part.count)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { break }
        output += part[..<count]
    }
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return ProgramResult(
        status: status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f, output: String(decoding: output, as: UTF8.self))
}
