import ArgumentParser
import Syscalls

/// The mount point, as a positional argument or as rencfs's `-m`.
struct MountPointArgument: ParsableArguments {
    @Argument(help: ArgumentHelp("Where the volume is mounted.", valueName: "mountpoint"), completion: .directory)
    var positional: String?

    @Option(
        name: [.customShort("m"), .customLong("mount-point")],
        help: ArgumentHelp("The mount point, instead of the argument.", valueName: "mountpoint"), completion: .directory)
    var option: String?

    var path: String {
        get throws(Failure) {
            guard let path = positional ?? option else { throw Failure(.usage, "the mount point is missing") }
            guard positional == nil || option == nil else { throw Failure(.usage, "the mount point is given twice") }
            return try checked(path, "mount point")
        }
    }

    /// The mount at `path`; fails unless it is a volume of ours.
    static func requireOurs(_ path: String) throws(Failure) -> MountTable.Entry {
        guard let mount = try MountTable.current().mount(at: path) else {
            throw Failure(.missing, "nothing is mounted there", object: path)
        }
        guard mount.isOurs else {
            throw Failure(.notAVolume, "\(mount.source) (\(mount.type)) is mounted there, which is no volume of efs", object: path)
        }
        return mount
    }
}
