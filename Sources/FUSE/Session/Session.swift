public import Syscalls
import SystemPackage

/// Serves one mount: answers INIT, then hands the kernel's requests to the file system until the mount is gone.
public final class Session: Sendable {
    public let connection: Connection
    /// Tells the kernel what changed behind its back.
    public let notifier: Notifier

    private let transport: any Transport
    private let dispatcher: Dispatcher
    private let workers: [RunningRequest]

    /// Waits for INIT and answers it. `device` is /dev/fuse as `mount` gives it.
    public init(
        _ device: OwnedDescriptor, _ fileSystem: any FUSEFileSystem, _ configuration: SessionConfiguration = SessionConfiguration()
    ) throws(Failure) {
        let page = 4096
        guard configuration.maxTransferBytes >= page, configuration.maxTransferBytes <= 1 << 20,
            configuration.maxTransferBytes % page == 0, configuration.classic.threads >= 1, configuration.uring.entriesPerQueue >= 1
        else { throw Failure(.usage, "transfers are 4 KiB to 1 MiB, in whole pages, by one thread or more") }
        var wanted = configuration
        if configuration.transport != .classic, URingTransport.isAvailable { wanted.flags.insert(.overIOUring) }
        connection = try Handshake.perform(device, wanted)
        let transport = try Self.makeTransport(device, configuration, connection)
        self.transport = transport
        workers = (0..<transport.workerCount).map { _ in RunningRequest() }
        dispatcher = Dispatcher(fileSystem, workers: workers)
        notifier = Notifier { bytes throws(Errno) in try transport.notify(bytes) }
        fileSystem.started(connection, notifier)
    }

    /// By which way requests come.
    public var transportKind: TransportKind { transport.kind }

    private static func makeTransport(
        _ device: OwnedDescriptor, _ configuration: SessionConfiguration, _ connection: Connection
    ) throws(Failure) -> any Transport {
        if connection.flags.contains(.overIOUring) { return try URingTransport(device, configuration) }
        if configuration.transport == .uring {
            throw Failure(
                .notPermitted, "this kernel offers no FUSE over io_uring", object: "/dev/fuse",
                hint: "Linux 6.14 or newer, and as root: echo Y > /sys/module/fuse/parameters/enable_uring")
        }
        return try ClassicTransport(device, configuration.classic, maxTransferBytes: configuration.maxTransferBytes)
    }

    /// Serves until the mount is gone or `stop` is called; blocks.
    public func run() throws(Failure) {
        let sender = WorkerThread(name: "fuse-notify") { [notifier] in notifier.run() }
        defer {
            notifier.end()
            sender.join()
        }
        try transport.run(dispatcher, workers: workers)
    }

    /// Has the kernel write what it caches of the file, while `run` serves; returns when it is written. Not from a handler.
    public func writeBack(_ node: NodeID) {
        // An error means that the kernel does not know the file, or that the mount is gone.
        Notification.invalidateInode(node, offset: 0, length: 0).encoded().withBytes { bytes in try? transport.notify(bytes) }
    }

    /// Makes `run` return without an unmount: requests in work are finished, what comes after them fails once the device is
    /// closed. Unmount instead, where it is possible.
    public func stop() { transport.stop() }
}
