import CSyscalls
import Glibc
public import Syscalls
import SystemPackage

/// Mounts and unmounts: with mount(2) as root, through `fusermount3` otherwise.
public enum Mounting {
    /// Mounts at `mountPoint` and returns the open /dev/fuse to serve it with.
    public static func mount(at mountPoint: String, _ options: FUSEMountOptions) throws(Failure) -> OwnedDescriptor {
        try check(mountPoint)
        guard geteuid() == 0 else { return try FusermountHelper.mount(at: mountPoint, options) }
        return try mountAsRoot(at: mountPoint, options)
    }

    /// Ends the mount. `lazy`: detaches it at once, it ends when nobody uses it any more.
    public static func unmount(_ mountPoint: String, lazy: Bool = false) throws(Failure) {
        guard geteuid() == 0 else { return try FusermountHelper.unmount(mountPoint, lazy: lazy) }
        let error: Errno
        do throws(Errno) {
            // The directory that the mount is in is held; the mount itself must not be, or it would be in use.
            let slash = mountPoint.lastIndex(of: "/") ?? mountPoint.startIndex
            let parent = try openWithoutLinks(mountPoint[..<slash])
            let path = "/proc/self/fd/\(parent.rawValue)" + mountPoint[slash...]
            _ = try withExtendedLifetime(parent) { () throws(Errno) in
                try retrying { umount2(path, CInt(UMOUNT_NOFOLLOW) | (lazy ? CInt(MNT_DETACH) : 0)) }
            }
            return
        } catch let failed { error = failed }
        switch error {
        case .resourceBusy:
            throw Failure(
                .busy, "the mount is in use", object: mountPoint, hint: "close what uses it (fuser -vm shows it), or unmount lazily",
                cause: error)
        case .invalidArgument: throw Failure(.missing, "not a mount point", object: mountPoint, cause: error)
        default: throw Failure(systemCall: "umount2", object: mountPoint, error)
        }
    }

    /// The absolute path without symbolic links, which /proc/self/mountinfo and unmounting need.
    public static func canonicalPath(_ path: String) throws(Failure) -> String {
        guard let resolved = realpath(path, nil) else {
            let error = Errno.current
            if error == .socketNotConnected {
                throw Failure(
                    .busy, "a dead mount is still there", object: path, hint: "unmount it first: umount -l, or fusermount3 -uz",
                    cause: error)
            }
            throw Failure(systemCall: "opening the mount point", object: path, error)
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func check(_ mountPoint: String) throws(Failure) {
        var status = stat()
        if stat(mountPoint, &status) != 0 {
            let error = Errno.current
            if error == .noSuchFileOrDirectory {
                throw Failure(.missing, "the mount point does not exist", object: mountPoint, hint: "create the directory", cause: error)
            }
            throw Failure(systemCall: "opening the mount point", object: mountPoint, error)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw notADirectory(mountPoint) }
    }

    private static func notADirectory(_ path: String) -> Failure { Failure(.usage, "the mount point is not a directory", object: path) }

    /// Opens the directory at an absolute path that holds no symbolic link. Fails if there is one by now: a path that was looked at
    /// may lead elsewhere when root follows it again.
    private static func openWithoutLinks(_ path: some StringProtocol) throws(Errno) -> OwnedDescriptor {
        let flags = pathOnlyFlag | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var directory = OwnedDescriptor(adopting: try retrying { Glibc.open("/", flags) })
        for name in path.split(separator: "/") {
            let next = try retrying { openat(directory.rawValue, String(name), flags) }
            directory = OwnedDescriptor(adopting: next)
        }
        return directory
    }

    /// O_PATH, which Glibc's module does not show.
    private static let pathOnlyFlag: CInt = 0o10_000_000

    private static func mountAsRoot(at mountPoint: String, _ options: FUSEMountOptions) throws(Failure) -> OwnedDescriptor {
        let directory: OwnedDescriptor
        var status = stat()
        do throws(Errno) {
            directory = try openWithoutLinks(mountPoint)
            _ = try retrying { fstat(directory.rawValue, &status) }
        } catch { throw Failure(systemCall: "opening the mount point", object: mountPoint, error) }
        let device: OwnedDescriptor
        do throws(Errno) {
            device = try OwnedDescriptor.open("/dev/fuse", O_RDWR)
        } catch {
            throw Failure(
                .notPermitted, "FUSE is not available", object: "/dev/fuse",
                hint: "load the module (modprobe fuse), or let the container have /dev/fuse", cause: error)
        }
        let data = options.kernelData(
            descriptor: device.rawValue, rootMode: status.st_mode & S_IFMT, uid: getuid(), gid: getgid())
        let type = options.subtype.map { "fuse.\($0)" } ?? "fuse"
        do throws(Errno) {
            _ = try withExtendedLifetime(directory) { () throws(Errno) in
                try retrying { Glibc.mount(options.source, "/proc/self/fd/\(directory.rawValue)", type, options.kernelFlags, data) }
            }
        } catch {
            if error == .resourceBusy { throw Failure(.busy, "the mount point is in use", object: mountPoint, cause: error) }
            throw Failure(systemCall: "mount", object: mountPoint, error)
        }
        return device
    }
}

extension FUSEMountOptions {
    /// MS_* of mount(2).
    var kernelFlags: UInt {
        var flags: UInt = 0
        if isReadOnly { flags |= UInt(MS_RDONLY) }
        if noSetUserID { flags |= UInt(MS_NOSUID) }
        if noDevices { flags |= UInt(MS_NODEV) }
        if noExecution { flags |= UInt(MS_NOEXEC) }
        if noAccessTimes { flags |= UInt(MS_NOATIME) }
        if strictAccessTimes { flags |= UInt(MS_STRICTATIME) }
        if noDirectoryAccessTimes { flags |= UInt(MS_NODIRATIME) }
        if synchronous { flags |= UInt(MS_SYNCHRONOUS) }
        if directorySynchronous { flags |= UInt(MS_DIRSYNC) }
        return flags
    }

    func kernelData(descriptor: CInt, rootMode: mode_t, uid: uid_t, gid: gid_t) -> String {
        var data = "fd=\(descriptor),rootmode=\(String(rootMode, radix: 8)),user_id=\(uid),group_id=\(gid),max_read=\(maxReadBytes)"
        if allowsOthers { data += ",allow_other" }
        if defaultPermissions { data += ",default_permissions" }
        return data
    }

    /// For `fusermount3 -o`; nosuid and nodev it adds itself.
    var helperData: String {
        func escaped(_ text: String) -> String {
            text.map { $0 == "," || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
        }
        var parts = [isReadOnly ? "ro" : "rw", "fsname=\(escaped(source))", "max_read=\(maxReadBytes)"]
        if let subtype { parts.append("subtype=\(escaped(subtype))") }
        if noExecution { parts.append("noexec") }
        if noAccessTimes { parts.append("noatime") }
        if synchronous { parts.append("sync") }
        if directorySynchronous { parts.append("dirsync") }
        if allowsOthers { parts.append("allow_other") }
        if defaultPermissions { parts.append("default_permissions") }
        return parts.joined(separator: ",")
    }
}
