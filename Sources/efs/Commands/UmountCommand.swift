import ArgumentParser
import Mount
import Syscalls
import SystemPackage

struct UmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount", abstract: "Unmount a volume, with everything on disk.",
        usage: "efs umount [--lazy] <mountpoint>",
        discussion: "Returns when everything is on stable storage and the process that served the mount has ended.")

    @OptionGroup var mountPoint: MountPointArgument

    @Flag(help: "Take the mount away now; what uses it goes on until it is done.")
    var lazy = false

    func run() throws {
        let path = try AbsolutePath.mountPoint(try mountPoint.path)
        let mount = try MountPointArgument.requireOurs(path)
        let server = ServerProcess(of: mount)
        if !lazy, server != nil { try Self.synchronize(path) }
        try MountedVolume.unmount(path, lazy: lazy)
        if !lazy { try server?.waitForEnd() }
    }

    /// What cannot be made durable is said here, while the mount still is; after it there is only the log.
    private static func synchronize(_ path: String) throws(Failure) {
        do throws(Failure) {
            try MountedVolume.synchronize(path)
        } catch  where error.cause == .socketNotConnected {
            // The server has died: there is nothing left to write.
        } catch  where error.cause == .permissionDenied || error.cause == .notPermitted {
            // Another user's mount, which does not let even root in. Its server makes all durable before it ends.
        } catch {
            // The kernel tells once of what failed long ago, too. Only what fails again is a reason to stay mounted.
            Console.warn("something written earlier could not be stored: \(error)")
            try MountedVolume.synchronize(path)
        }
    }
}
