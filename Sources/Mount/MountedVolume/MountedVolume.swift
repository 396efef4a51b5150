import FUSE
public import FileSystem
public import Glibc
import Logging
public import Syscalls
import SystemPackage

/// A file system that the kernel shows at a mount point.
///
/// `mount`, then `serve` on a thread of its own or the main one, which blocks until the mount is gone; `unmount` or `terminate`
/// from another thread ends it. Closing the volume is the caller's, after `serve` has returned: the kernel may send writes
/// until then.
public final class MountedVolume: Sendable {
    /// Second half of the type in /proc/mounts, `fuse.efs`.
    public static let subtype = "efs"

    /// Reading this attribute of a mount's root directory gives the id of the process that serves it. Not listed.
    static let serverAttribute = "system.efs.server"

    /// Absolute, without symbolic links.
    public let mountPoint: String
    /// "major:minor", by which the mount is told from one on top of it.
    private let deviceNumber: String?
    let session: Session
    let adapter: VolumeAdapter
    private let fileSystem: FileSystem
    private let logger: Logger

    private init(_ mountPoint: String, _ session: Session, _ adapter: VolumeAdapter, _ fileSystem: FileSystem, _ logger: Logger) {
        self.mountPoint = mountPoint
        self.adapter = adapter
        deviceNumber = ReadAhead.deviceNumber(ofMount: mountPoint)
        self.session = session
        self.fileSystem = fileSystem
        self.logger = logger
    }

    /// Mounts, and agrees with the kernel on how to talk. Programs that look into the mount wait until `serve` is called.
    public static func mount(
        _ fileSystem: FileSystem, at mountPoint: String, _ options: MountOptions = MountOptions()
    ) throws(Failure) -> MountedVolume {
        let path = try Mounting.canonicalPath(mountPoint)
        let device = try Mounting.mount(at: path, options.fuseOptions)
        do throws(Failure) {
            var adapterOptions = VolumeAdapter.Options()
            if options.allowRoot, !options.allowOther { adapterOptions.onlyUser = getuid() }
            adapterOptions.asksForReads = options.accessTimes.rule == .always
            adapterOptions.asksForListings = adapterOptions.asksForReads && options.accessTimes.includesDirectories
            adapterOptions.isShared = options.isShared
            adapterOptions.hiddenName = options.hiddenName
            let adapter = VolumeAdapter(fileSystem, adapterOptions, options.logger)
            let session = try Session(device, adapter, options.sessionConfiguration)
            if geteuid() == 0, !ReadAhead.raise(mountPoint: path) {
                options.logger.debug("readahead stays at the kernel's 128 KiB", metadata: ["mount": "\(path)"])
            }
            return MountedVolume(path, session, adapter, fileSystem, options.logger)
        } catch {
            try? Mounting.unmount(path, lazy: true)
            throw error
        }
    }

    /// Answers the kernel until the mount is gone; blocks.
    public func serve() throws(Failure) {
        logger.info("mounted", metadata: ["mount": "\(mountPoint)"])
        try session.run()
        logger.info("unmounted", metadata: ["mount": "\(mountPoint)"])
    }

    /// Ends the mount: `serve` returns when it is gone. What the kernel has cached is written first. Fails with `busy` while
    /// files are open in it; `lazy` detaches it at once and ends it when the last one is closed.
    public func unmount(lazy: Bool = false) throws(Failure) { try Self.unmount(mountPoint, lazy: lazy) }

    /// Ends any FUSE mount of this user, or with root's rights of any user.
    public static func unmount(_ mountPoint: String, lazy: Bool = false) throws(Failure) {
        try Mounting.unmount(mountPoint, lazy: lazy)
    }

    /// Ends the mount although it may be in use, as on SIGTERM: what the kernel and the volume hold is made durable, then the
    /// mount is detached and `serve` returns. Programs that still use it get errors from then on.
    public func terminate() {
        guard isOnTop else { return terminateCovered() }
        do throws(Failure) {
            try unmount()
            return
        } catch {
            logger.warning("ending the mount although it is in use", metadata: ["mount": "\(mountPoint)", "reason": "\(error)"])
        }
        do throws(Failure) { try Self.synchronize(mountPoint) } catch {
            logger.error("writing back before the end failed: \(error)")
        }
        try? unmount(lazy: true)
        session.stop()
    }

    private var isOnTop: Bool { deviceNumber == ReadAhead.deviceNumber(ofMount: mountPoint) }

    /// Something else is mounted over it, which is not ours to unmount: by no path the mount can be reached, only through the kernel's
    /// device.
    private func terminateCovered() {
        logger.warning("ending the mount although another one lies on top of it", metadata: ["mount": "\(mountPoint)"])
        for inode in fileSystem.retainedInodes() { session.writeBack(NodeID(inode)) }
        do throws(Errno) { try fileSystem.synchronizeAll() } catch {
            logger.error("making all durable before the end failed: \(error)")
        }
        session.stop()
    }

    /// The process that serves the mount, as it names itself: in its own namespace of process ids. Nil if it does not answer, or not to
    /// this user.
    public static func server(of mountPoint: String) -> pid_t? {
        extendedAttribute(serverAttribute, of: mountPoint, limitBytes: 20).flatMap { pid_t(String(decoding: $0, as: UTF8.self)) }
    }

    /// Makes everything that was written to the mount durable. sync(1) and syncfs(2) alone cannot: the kernel tells a FUSE
    /// server of neither. Needs the right to read the mount's root directory; works from any process.
    public static func synchronize(_ mountPoint: String) throws(Failure) {
        do throws(Errno) {
            let root = try OwnedDescriptor.open(mountPoint, O_RDONLY | O_DIRECTORY)
            // The kernel writes back what it has cached, then an fsync of the root directory stands for the whole volume.
            try root.syncFileSystem()
            try root.sync()
        } catch {
            throw Failure(systemCall: "synchronizing", object: mountPoint, error)
        }
    }
}

extension MountOptions {
    var fuseOptions: FUSEMountOptions {
        var fuse = FUSEMountOptions()
        fuse.source = fileSystemName
        fuse.subtype = MountedVolume.subtype
        fuse.isReadOnly = readOnly
        // The kernel knows no allow_root: it lets all in, and the adapter refuses all but two.
        fuse.allowsOthers = allowOther || allowRoot
        // The file system checks no rights itself.
        fuse.defaultPermissions = true
        fuse.noSetUserID = !honorsSetUserID
        fuse.noDevices = !honorsDevices
        fuse.noExecution = !honorsExecutables
        fuse.noAccessTimes = accessTimes.rule == .never
        fuse.strictAccessTimes = accessTimes.rule == .always
        fuse.noDirectoryAccessTimes = !accessTimes.includesDirectories
        return fuse
    }

    var sessionConfiguration: SessionConfiguration {
        var session = SessionConfiguration()
        // The file system keeps ACLs in step with modes and inherits default ACLs, for which it needs the umask itself.
        session.flags.formUnion([.posixACL, .dontMask])
        if let threadCount { session.classic.threads = max(1, threadCount) }
        session.transport =
            switch transport {
            case .auto: .auto
            case .classic: .classic
            case .uring: .uring
            }
        return session
    }
}
