import FUSE
import Glibc
import LinuxTesting
import Syscalls
import SystemPackage

/// A memory file system mounted in a fresh directory, served by threads of its own.
final class MountedFixture {
    let path: String
    let fileSystem: MemoryFileSystem
    let session: Session
    private let thread: WorkerThread
    private var isMounted = true

    init(
        transport: TransportChoice, _ options: MemoryFileSystem.Options = .init(),
        _ configuration: SessionConfiguration = SessionConfiguration(),
        mount change: (inout FUSEMountOptions) -> Void = { _ in }
    ) throws {
        var template = Array("/tmp/fuse-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno.current }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        var mountOptions = FUSEMountOptions()
        mountOptions.source = "memory test"
        mountOptions.subtype = "memtest"
        mountOptions.allowsOthers = true
        change(&mountOptions)
        let device = try Mounting.mount(at: path, mountOptions)
        fileSystem = MemoryFileSystem(options)
        var configuration = configuration
        configuration.transport = transport
        let session = try Session(device, fileSystem, configuration)
        self.session = session
        thread = WorkerThread(name: "session") {
            do throws(Failure) { try session.run() } catch { print("session: \(error)") }
        }
    }

    func path(_ name: String) -> String { "\(path)/\(name)" }

    /// Unmounts and waits until the session has ended.
    func unmount() throws {
        guard isMounted else { return }
        try Mounting.unmount(path)
        isMounted = false
        thread.join()
    }

    deinit {
        if isMounted {
            try? Mounting.unmount(path, lazy: true)
            session.stop()
            thread.join()
        }
        rmdir(path)
    }
}
