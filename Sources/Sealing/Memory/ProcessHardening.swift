import CSyscalls
import Glibc

/// Keeps what a process that holds keys has in memory from other eyes.
public enum ProcessHardening {
    /// PR_SET_DUMPABLE of linux/prctl.h, part of the kernel's stable interface; Swift's Glibc module lacks it.
    private static let setDumpable: Int32 = 4

    /// To be called once at the start, before any secret is read:
    /// - not dumpable (PR_SET_DUMPABLE): no core dump is written, also not to a program that the kernel would start for it, and
    ///   other processes of the same user may neither trace this one nor read its memory;
    /// - a limit of 0 for core files, which programs started from here inherit;
    /// - the limit on locked memory raised as far as this user may, so that keys fit in.
    ///
    /// None of these can fail in a way that is worth stopping for; what matters is told by `SecretMemory.isFullyLocked`.
    ///
    /// A consequence for users that are not root: files under /proc/self belong to root from then on.
    public static func apply() {
        _ = efs_prctl(Self.setDumpable, 0)
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        var locked = rlimit()
        if getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &locked) == 0, locked.rlim_cur < locked.rlim_max {
            locked.rlim_cur = locked.rlim_max
            _ = setrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &locked)
        }
    }
}
