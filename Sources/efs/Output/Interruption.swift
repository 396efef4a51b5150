import Glibc
import Synchronization
import Syscalls

/// Set by the signal that asks the program to end.
private let caught = Atomic<Int32>(0)

/// SIGINT, SIGTERM and SIGHUP end a command where it can clear up after itself. To be begun when no password is asked any more;
/// a second signal ends the program at once.
enum Interruption {
    static func begin() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            var action = sigaction()
            sigaction(number, nil, &action)
            // What the program was told to ignore (nohup) stays ignored. SIG_IGN is 1, a macro with a cast; Swift cannot name it.
            if unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1 { continue }
            action = sigaction()
            action.__sigaction_handler.sa_handler = { caught.store($0, ordering: .relaxed) }
            // SA_RESETHAND, a macro of a type that does not fit.
            action.sa_flags = Int32(bitPattern: 0x8000_0000)
            sigaction(number, &action, nil)
        }
        raiseLimits()
        // A reader of our output that has gone is seen as an error of the write.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Each level of a deep tree needs open files.
    private static func raiseLimits() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    static func check() throws(Failure) {
        let number = caught.load(ordering: .relaxed)
        if number != 0 { throw Failure(.interrupted, "stopped by a signal (\(number)); nothing is left half-written") }
    }
}
