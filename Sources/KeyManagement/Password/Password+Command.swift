import CSyscalls
import Glibc
public import Sealing
public import Syscalls
import SystemPackage

extension Password {
    private static let commandName = "the password command"

    /// The first line of what `command` prints when `/bin/sh -c` runs it. It may talk to the user by its standard input and error,
    /// and does not see `EFS_PASSWORD`. Fails when it does not end with status 0.
    public static func fromCommand(_ command: String) throws(Failure) -> SecretBytes {
        var ends: [Int32] = [-1, -1]
        let made = efs_pipe(&ends, O_CLOEXEC)
        guard made == 0 else { throw Failure(systemCall: "making a pipe", object: commandName, .current) }
        let output = OwnedDescriptor(adopting: ends[0])
        let started = Result { () throws(Failure) in try start(command, output: ends[1]) }
        // The child has its own by now; while this one is open the output would never end.
        close(ends[1])
        let child = try started.get()
        let line = Result { () throws(Failure) in try readLine(from: output.rawValue, object: commandName) }
        drain(output.rawValue)
        // The child is waited for whatever became of its output, and how it ended says more than what it printed.
        try waitForSuccess(of: child)
        return try line.get()
    }

    private static func start(_ command: String, output: Int32) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var arguments = ["sh", "-c", command].map { (text: String) in strdup(text) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var environment = environmentWithoutPassword()
        var child = pid_t()
        let result = posix_spawn(&child, "/bin/sh", &actions, nil, &arguments, &environment)
        guard result == 0 else { throw Failure(systemCall: "starting /bin/sh", object: commandName, Errno(rawValue: result)) }
        return child
    }

    /// Pointers into this process's own environment, ended by nil.
    private static func environmentWithoutPassword() -> [UnsafeMutablePointer<CChar>?] {
        var kept: [UnsafeMutablePointer<CChar>?] = []
        let prefix = environmentVariable + "="
        guard var place = efs_environment() else { return [nil] }
        while let entry = place.pointee {
            if strncmp(entry, prefix, prefix.utf8.count) != 0 { kept.append(entry) }
            place += 1
        }
        return kept + [nil]
    }

    /// Lets the command finish writing, so that it does not fail for want of a reader; what comes is wiped.
    private static func drain(_ descriptor: Int32) {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { buffer in
            while let count = try? retryingCount({ Glibc.read(descriptor, buffer.baseAddress, buffer.count) }), count > 0 {}
            wipe(buffer)
        }
    }

    private static func waitForSuccess(of child: pid_t) throws(Failure) {
        var status: Int32 = 0
        do { _ = try retrying { waitpid(child, &status, 0) } } catch {
            throw Failure(systemCall: "waiting", object: commandName, error)
        }
        if status == 0 { return }
        let signal = status & 0x7f
        let how = signal == 0 ? "ended with status \(status >> 8 & 0xff)" : "was ended by signal \(signal)"
        throw Failure(.usage, "it \(how)", object: commandName)
    }
}
