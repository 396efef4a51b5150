import CSyscalls
import Glibc
import Synchronization
import Syscalls
import SystemPackage

/// Where the handler writes the number of a signal: the writing end of a pipe, -1 while nobody watches.
private let signalPipe = Atomic<Int32>(-1)

/// Holds back the signals that end or stop a program, while the terminal is in a state that must not be left behind. A handler
/// may do almost nothing, so it only writes the signal's number into a pipe that is waited for together with the terminal.
/// One at a time in a process.
final class SignalWatch {
    static let stops: Set<Int32> = [SIGTSTP, SIGTTIN, SIGTTOU]
    private static let watched = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU]

    private let reading: OwnedDescriptor
    private let writing: OwnedDescriptor
    private var before: [(signal: Int32, action: sigaction)] = []

    init() throws(Failure) {
        var ends: [Int32] = [-1, -1]
        let made = efs_pipe(&ends, O_CLOEXEC | O_NONBLOCK)
        guard made == 0 else { throw Failure(systemCall: "making a pipe", object: "the terminal", .current) }
        reading = OwnedDescriptor(adopting: ends[0])
        writing = OwnedDescriptor(adopting: ends[1])
        signalPipe.store(ends[1], ordering: .sequentiallyConsistent)
        for signal in Self.watched { watch(signal) }
    }

    private func watch(_ signal: Int32) {
        var old = sigaction()
        sigaction(signal, nil, &old)
        // What the program was told to ignore (nohup) stays ignored. SIG_IGN is 1, a macro with a cast.
        if unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) == 1 { return }
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let saved = errno
            var byte = UInt8(truncatingIfNeeded: number)
            _ = Glibc.write(signalPipe.load(ordering: .relaxed), &byte, 1)
            errno = saved
        }
        sigaction(signal, &action, nil)
        before.append((signal, old))
    }

    /// Puts the handlers back as they were.
    func end() {
        for (signal, action) in before {
            var action = action
            sigaction(signal, &action, nil)
        }
        before = []
        signalPipe.store(-1, ordering: .sequentiallyConsistent)
    }

    /// Lets a signal that was held back do what it does, before this returns (if it then returns).
    static func deliver(_ signal: Int32) {
        // The calling thread may block signals, as those of libdispatch do; then it would only be noted.
        var set = sigset_t()
        var old = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, signal)
        pthread_sigmask(SIG_UNBLOCK, &set, &old)
        raise(signal)
        pthread_sigmask(SIG_SETMASK, &old, nil)
    }

    /// Waits until the terminal has input (nil), or a signal came (its number).
    func waitForInput(of terminal: OwnedDescriptor) throws(Failure) -> Int32? {
        while true {
            var waits = [
                pollfd(fd: reading.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: terminal.rawValue, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&waits, 2, -1) < 0, errno != EINTR {
                throw Failure(systemCall: "waiting for the password", object: "the terminal", .current)
            }
            var number: UInt8 = 0
            if Glibc.read(reading.rawValue, &number, 1) == 1 { return Int32(number) }
            if waits[1].revents != 0 { return nil }
        }
    }
}
