import CSyscalls
import Glibc
public import Syscalls
import SystemPackage

/// Mounts and unmounts: with mount(2) as root, through `fusermount3` otherwise.
public enum Mounting {
    /// Mounts at `mountPoint` and returns the open /dev/fuse to serve it with.
    public static func mount(at mountPoint: String, _ options: FUSEMountOptions) throws(Failure) -> OwnedDescriptor {
        let status = try check(mountPoint)
        return geteuid() == 0 ? try mountAsRoot(at: mountPoint, status, options) : try FusermountHelper.mount(at: mountPoint, options)
    }

    /// Ends the mount. `lazy`: detaches it at once, it ends when nobody uses it any more.
    public static func unmount(_ mountPoint: String, lazy: Bool = false) throws(Failure) {
        guard geteuid() == 0 else { return try FusermountHelper.unmount(mountPoint, lazy: lazy) }
        if umount2(mountPoint, CInt(UMOUNT_NOFOLLOW) | (lazy ? CInt(MNT_DETACH) : 0)) == 0 { return }
        let error = Errno.current
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

    private static func check(_ mountPoint: String) throws(Failure) -> stat {
        var status = stat()
        if stat(mountPoint, &status) != 0 {
            let error = Errno.current
            if error == .noSuchFileOrDirectory {
                throw Failure(.missing, "the mount point does not exist", object: mountPoint, hint: "create the directory", cause: error)
            }
            throw Failure(systemCall: "opening the mount point", object: mountPoint, error)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw Failure(.usage, "the mount point is not a directory", object: mountPoint) }
        return status
    }

    private static func mountAsRoot(at mountPoint: String, _ status: stat, _ options: FUSEMountOptions) throws(Failure) -> OwnedDescriptor {
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
        if Glibc.mount(options.source, mountPoint, type, options.kernelFlags, data) != 0 {
            let error = Errno.current
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
