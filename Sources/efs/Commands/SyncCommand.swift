import ArgumentParser
import CSyscalls
import Glibc
import Syscalls
import SystemPackage

/// The kernel tells a FUSE server of neither sync(2) nor syncfs(2). So: syncfs here has it write its caches to the server,
/// and an fsync of the mount's root directory has the server make all that came before durable.
struct SyncCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Make everything written to a mount durable.",
        usage: "efs sync <mountpoint>",
        discussion: "Returns when all that was written before is on stable storage. sync(1) alone cannot do that for a FUSE mount.")

    @OptionGroup var mountPoint: MountPointArgument

    func run() throws {
        let path = try AbsolutePath.mountPoint(try mountPoint.path)
        try MountPointArgument.requireOurs(path)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(systemCall: "open", object: path, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        guard efs_syncfs(descriptor) == 0 else { throw Failure(systemCall: "syncfs", object: path, Errno(rawValue: errno)) }
        guard fsync(descriptor) == 0 else { throw Failure(systemCall: "fsync", object: path, Errno(rawValue: errno)) }
    }
}
