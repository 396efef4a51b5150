import Synchronization

/// What became of the memory that keys lie in.
public enum SecretMemory {
    private static let sawUnlocked = Atomic<Bool>(false)

    /// False once some secret had to go into memory that the system may swap to disk, because the limit on locked memory
    /// (RLIMIT_MEMLOCK, `ulimit -l`) was reached. A reason for a warning, not for an error: swap may be absent or encrypted.
    public static var isFullyLocked: Bool { !sawUnlocked.load(ordering: .relaxed) }

    static func noteUnlocked() { sawUnlocked.store(true, ordering: .relaxed) }
}
