public import FileSystem
public import Logging

/// How a volume is mounted.
public struct MountOptions: Sendable {
    public var readOnly = false
    /// Every user may enter; file modes decide what they may do.
    public var allowOther = false
    /// Besides the mounting user, root may enter. Others may not.
    public var allowRoot = false
    /// The same as the file system was opened with.
    public var accessTimes = AccessTimePolicy()
    /// Set-user-ID files and device files of the volume count. Only root can ask for that.
    public var honorsSetUserID = false
    public var honorsDevices = false
    public var honorsExecutables = true
    /// First column of /proc/mounts, such as the data directory.
    public var fileSystemName = "efs"
    /// Number of threads that answer the kernel; nil lets the program choose.
    public var threadCount: Int?
    public var transport = Transport.auto
    /// Another face in this process changes the volume as well, and says so (`beginChange` and what follows it).
    public var isShared = false
    /// A name in the root directory that the mount does not show, and that nobody can make there.
    public var hiddenName: [UInt8]?
    /// What the mount itself has to say; failures of the volume are told where the `FileSystem` was opened.
    public var logger = Logger(label: "efs.mount")

    /// By which way the kernel's requests come.
    public enum Transport: String, Sendable, CaseIterable {
        /// io_uring where the kernel offers it, else classic.
        case auto
        /// read(2) and write(2) on /dev/fuse.
        case classic
        /// FUSE over io_uring, or the mount fails.
        case uring
    }

    public init() {}
}
