import ArgumentParser
import Mount
import Syscalls

struct SyncCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Make everything written to a mount durable.",
        usage: "efs sync <mountpoint>",
        discussion: "Returns when all that was written before is on stable storage. sync(1) alone cannot do that for a FUSE mount.")

    @OptionGroup var mountPoint: MountPointArgument

    func run() throws {
        let path = try AbsolutePath.mountPoint(try mountPoint.path)
        _ = try MountPointArgument.requireOurs(path)
        try MountedVolume.synchronize(path)
    }
}
