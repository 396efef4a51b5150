import Glibc
import Syscalls
import Synchronization

/// What ends a process that serves a mount: SIGTERM, SIGINT and SIGHUP, and while nothing is mounted yet the end of the process that
/// waits for it.
///
/// The signals are blocked from `init` on, in this thread and in all that start later, and one thread waits for them: so the
/// work that ends a mount runs as ordinary code, not in a handler. To be made before any other thread exists.
final class Ending: Sendable {
    private enum State {
        /// Nothing is there that could be lost: the process ends as by the signal.
        case opening
        /// The kernel is being asked for the mount; `wanted` if it is to end as soon as it is there.
        case mounting(wanted: Bool)
        case mounted(@Sendable () -> Void)
        /// It goes by itself.
        case ended
    }

    private let state = Mutex(State.opening)

    init() {
        var set = Self.signals
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // The thread ends with the process.
        _ = WorkerThread(name: "efs-signals") { [self] in
            var set = Self.signals
            var signal: Int32 = 0
            while true {
                if sigwait(&set, &signal) == 0 { end(bySignal: signal) }
            }
        }
    }

    private static var signals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
        return set
    }

    /// Until the mount is there, ends the process when its caller has gone: nobody could be told of the mount.
    func watch(_ handover: Handover) {
        let descriptor = dup(handover.descriptor)
        guard descriptor >= 0 else { return }
        _ = WorkerThread(name: "efs-handover") { [self] in
            var request = pollfd(fd: descriptor, events: 0, revents: 0)
            while poll(&request, 1, -1) < 0 && errno == EINTR {}
            close(descriptor)
            let isEarly = state.withLock { state in
                switch state {
                case .opening, .mounting: true
                case .mounted, .ended: false
                }
            }
            if isEarly { end(bySignal: SIGTERM) }
        }
    }

    func beginMounting() { state.withLock { $0 = .mounting(wanted: false) } }

    /// From now on `terminate` is what ends the mount.
    func didMount(_ terminate: @escaping @Sendable () -> Void) {
        let isWanted = state.withLock { state in
            defer { state = .mounted(terminate) }
            if case .mounting(true) = state { return true }
            return false
        }
        // By another thread: it needs the mount to be served.
        if isWanted { _ = WorkerThread(name: "efs-ending") { terminate() } }
    }

    func didUnmount() { state.withLock { $0 = .ended } }

    private func end(bySignal signal: Int32) {
        let terminate: (@Sendable () -> Void)? = state.withLock { state in
            switch state {
            case .opening: Self.die(by: signal)
            case .mounting:
                state = .mounting(wanted: true)
                return nil
            case .mounted(let terminate): return terminate
            case .ended: return nil
            }
        }
        terminate?()
    }

    private static func die(by number: Int32) -> Never {
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        _exit(128 + number)
    }
}
