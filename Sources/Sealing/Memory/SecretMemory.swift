import Synchronization

/// What became of the memory that keys lie in.
public enum SecretMemory {
    private struct State {
        var isFullyLocked = true
        var report: (@Sendable () -> Void)?
    }

    private static let state = Mutex(State())

    /// False once some secret had to go into memory that the system may swap to disk, because the limit on locked memory
    /// (RLIMIT_MEMLOCK, `ulimit -l`) was reached. A reason for a warning, not for an error: swap may be absent or encrypted.
    public static var isFullyLocked: Bool { state.withLock { $0.isFullyLocked } }

    /// Calls `report` when that happens, once; at once if it has. It must not use secrets. Replaces an earlier one.
    public static func whenNotFullyLocked(_ report: @escaping @Sendable () -> Void) {
        let isFullyLocked = state.withLock {
            $0.report = report
            return $0.isFullyLocked
        }
        if !isFullyLocked { noteUnlocked() }
    }

    static func noteUnlocked() {
        let report = state.withLock { state in
            state.isFullyLocked = false
            defer { state.report = nil }
            return state.report
        }
        report?()
    }
}
