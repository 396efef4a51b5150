/// How a file system is mounted.
public struct FUSEMountOptions: Sendable {
    /// First column of /proc/mounts.
    public var source = "fuse"
    /// The type is `fuse.` and this.
    public var subtype: String?
    public var isReadOnly = false
    /// Other users than the mounting one may enter, too.
    public var allowsOthers = false
    /// The kernel checks owners and modes.
    public var defaultPermissions = true
    public var noSetUserID = true
    public var noDevices = true
    public var noExecution = false
    /// These are for mount tables: the kernel leaves access times of FUSE mounts to the server.
    public var noAccessTimes = false
    public var strictAccessTimes = false
    public var noDirectoryAccessTimes = false
    public var synchronous = false
    public var directorySynchronous = false
    /// Largest READ, in bytes.
    public var maxReadBytes = 1 << 20

    public init() {}
}
