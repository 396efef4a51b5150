import ArgumentParser
import Mount
import Sealing
import Syscalls

struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount", abstract: "Show a volume's files at a mount point.",
        usage: """
            efs mount [<options>] <data> <mountpoint>
            efs mount [<options>] --data-dir <data> --mount-point <mountpoint>
            """,
        discussion: """
            Returns once the mount serves. 'efs umount', umount(8), fusermount3 -u, SIGTERM and SIGINT end it, with \
            everything on disk. If the data directory is empty, a volume is created in it first, and the password is asked twice.
            """)

    @Argument(help: ArgumentHelp("The data directory and the mount point.", valueName: "data mountpoint"), completion: .directory)
    var paths: [String] = []

    @Option(
        name: [.customShort("d"), .customLong("data-dir")],
        help: ArgumentHelp("The data directory, instead of the first argument.", valueName: "data"), completion: .directory)
    var dataDirectory: String?

    @Option(
        name: [.customShort("m"), .customLong("mount-point")],
        help: ArgumentHelp("The mount point, instead of the second argument.", valueName: "mountpoint"), completion: .directory)
    var mountPoint: String?

    @Flag(name: [.customShort("u"), .customLong("umount-on-start")], help: "Unmount first what is mounted there.")
    var unmountOnStart = false

    @Flag(name: [.customShort("r"), .customLong("read-only")], help: "Write nothing, neither to the volume nor beside it.")
    var readOnly = false

    @Flag(name: [.customShort("o"), .customLong("allow-other")], help: "Let other users in; file modes decide what they may do.")
    var allowOther = false

    @Flag(name: [.customShort("s"), .customLong("allow-root")], help: "Let root in too.")
    var allowRoot = false

    @Option(
        name: [.customShort("c"), .customLong("cipher")],
        help: ArgumentHelp("The cipher, if the volume is created by this mount.", valueName: "cipher"))
    var cipher: CipherName?

    @Option(
        name: .customLong("options"),
        help: ArgumentHelp("Mount options as in fstab, such as noatime,nosuid,fsname=vault.", valueName: "list"))
    var optionList: String?

    @Flag(help: "Stay in the foreground and log to standard error.")
    var foreground = false

    @Option(help: ArgumentHelp("Memory for caches of the volume.", valueName: "MiB"))
    var cache: Int?

    @Option(
        help: ArgumentHelp(
            "How requests come: classic, uring (FUSE over io_uring, or the mount fails), or auto (uring where the kernel offers it).",
            valueName: "way"))
    var transport: TransportName?

    @Flag(help: "Open an older state of the volume than was last seen on this machine.")
    var acceptRollback = false

    @Option(help: ArgumentHelp("Refuse a volume older than this generation ('efs check' prints it).", valueName: "number"))
    var expectGeneration: UInt64?

    @OptionGroup(title: "Password") var password: PasswordOptions
    @OptionGroup(title: "Log") var log: LogOptions

    /// The serving process finds its password and its caller here.
    @Option(help: .hidden)
    var handoverFd: Int32?

    func validate() throws {
        if let cache, cache < 1 { throw ValidationError("--cache must be at least 1") }
    }

    func run() throws {
        if let handoverFd {
            try ServingProcess(request: try request()).run(handover: Handover(descriptor: handoverFd))
        } else {
            try MountTask(command: self, request: try request()).run()
        }
    }

    func request() throws(Failure) -> MountRequest {
        var rest = paths[...]
        guard let data = dataDirectory ?? rest.popFirst() else {
            throw Failure(.usage, "the data directory is missing", hint: "efs mount DATA MOUNTPOINT")
        }
        guard let mountPoint = mountPoint ?? rest.popFirst() else {
            throw Failure(.usage, "the mount point is missing", hint: "efs mount DATA MOUNTPOINT")
        }
        guard rest.isEmpty else { throw Failure(.usage, "unexpected argument '\(rest.joined(separator: " "))'") }
        var options = try MountOptionList(parsing: optionList ?? "")
        options.readOnly = options.readOnly || readOnly
        options.allowOther = options.allowOther || allowOther
        options.allowRoot = options.allowRoot || allowRoot
        options.acceptsRollback = options.acceptsRollback || acceptRollback
        options.cacheMebibytes = cache ?? options.cacheMebibytes
        options.transport = transport.flatMap { .init(rawValue: $0.rawValue) } ?? options.transport
        options.expectedGeneration = expectGeneration ?? options.expectedGeneration
        return MountRequest(
            dataDirectory: try AbsolutePath.existing(try checked(data, "data directory")),
            mountPoint: try AbsolutePath.mountPoint(try checked(mountPoint, "mount point")), options: options,
            log: .init(level: options.logLevel ?? log.level, file: try (log.file ?? options.logFile).map(AbsolutePath.toBeCreated)))
    }
}

/// `MountOptions.Transport` on a command line.
enum TransportName: String, CaseIterable, ExpressibleByArgument { case auto, classic, uring }
