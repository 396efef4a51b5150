import FUSE
import Glibc
import Syscalls

/// Looks at what a mount needs of the machine. Reads files of /proc, /sys and /etc only, and changes nothing.
struct Examination {
    private let isRoot = geteuid() == 0

    var findings: [Finding] { [device, helper, transport, transfers, others, memory, swap, mountHelper] }

    private var device: Finding {
        if access("/dev/fuse", R_OK | W_OK) == 0 { return Finding(name: "/dev/fuse", state: .on, detail: "can be opened") }
        let isThere = access("/dev/fuse", F_OK) == 0
        return Finding(
            name: "/dev/fuse", state: .missing, detail: isThere ? "may not be opened by this user" : "is not there",
            hint: isThere ? "as root: chmod 666 /dev/fuse" : "as root: modprobe fuse; or give the container --device /dev/fuse")
    }

    private var helper: Finding {
        let isThere = ["/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"].contains { (path: String) in
            access(path, X_OK) == 0
        }
        if isThere || isRoot {
            return Finding(
                name: "fusermount3", state: isThere ? .on : .off,
                detail: isThere ? "is there" : "is not there; root mounts without it, other users cannot",
                hint: isThere ? nil : "apt-get install fuse3")
        }
        return Finding(
            name: "fusermount3", state: .missing, detail: "is not there, and only root mounts without it", hint: "apt-get install fuse3")
    }

    private var transport: Finding {
        let name = "io_uring"
        let parameter = "/sys/module/fuse/parameters/enable_uring"
        guard let value = Self.firstLine(parameter) else {
            return Finding(
                name: name, state: .off, detail: "this kernel has no FUSE over io_uring; requests come by /dev/fuse",
                hint: "Linux 6.14 or newer has it, and is two to three times as fast with small files")
        }
        guard URingTransport.isAvailable else {
            return Finding(
                name: name, state: .off, detail: "io_uring is not allowed here; requests come by /dev/fuse",
                hint: "see sysctl kernel.io_uring_disabled, or the container's seccomp profile")
        }
        if value == "Y" || value == "1" { return Finding(name: name, state: .on, detail: "mounts made from now on use it") }
        return Finding(
            name: name, state: .off, detail: "the kernel has it, switched off; requests come by /dev/fuse",
            hint: "as root: echo Y > \(parameter); at each start: options fuse enable_uring=Y in /etc/modprobe.d")
    }

    private var transfers: Finding {
        let file = "/proc/sys/fs/fuse/max_pages_limit"
        let pages = Self.firstLine(file).flatMap(Int.init) ?? 256
        if pages >= 256 { return Finding(name: "transfers", state: .on, detail: "up to \(pages * 4) KiB at a time") }
        return Finding(
            name: "transfers", state: .off, detail: "at most \(pages * 4) KiB at a time", hint: "as root: echo 256 > \(file)")
    }

    private var others: Finding {
        if isRoot { return Finding(name: "allow_other", state: .on, detail: "root may always ask for it") }
        let isAllowed = Self.lines("/etc/fuse.conf").contains("user_allow_other")
        return Finding(
            name: "allow_other", state: isAllowed ? .on : .off,
            detail: isAllowed ? "ordinary users may ask for it" : "ordinary users may not let others into their mounts",
            hint: isAllowed ? nil : "as root: echo user_allow_other >> /etc/fuse.conf")
    }

    private var memory: Finding {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit)
        let wanted: rlim_t = 1 << 20
        let isEnough = isRoot || limit.rlim_max >= wanted
        return Finding(
            name: "locked memory", state: isEnough ? .on : .off,
            detail: isEnough ? "keys are kept out of swap" : "at most \(limit.rlim_max / 1024) KiB: keys might reach swap",
            hint: isEnough ? nil : "raise memlock in /etc/security/limits.conf")
    }

    private var swap: Finding {
        let devices = Self.lines("/proc/swaps").dropFirst().count
        return Finding(
            name: "swap", state: devices == 0 ? .on : .off,
            detail: devices == 0 ? "there is none" : "\(devices) in use: contents of open files may be written to it",
            hint: devices == 0 ? nil : "encrypt swap, or have none")
    }

    private var mountHelper: Finding {
        let isThere = access("/sbin/mount.fuse.efs", X_OK) == 0
        return Finding(
            name: "fstab", state: isThere ? .on : .off,
            detail: isThere ? "mount -t fuse.efs works" : "/sbin/mount.fuse.efs is not there: no mount -t fuse.efs, no /etc/fstab",
            hint: isThere ? nil : "as root: make install")
    }

    private static func firstLine(_ path: String) -> String? { lines(path).first }

    /// The lines of a small file; none if it cannot be read.
    private static func lines(_ path: String) -> [String] {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY) else { return [] }
        var text = [UInt8](repeating: 0, count: 16 << 10)
        let count = text.withUnsafeMutableBytes { (try? file.read(at: 0, into: $0)) ?? 0 }
        return String(decoding: text[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
