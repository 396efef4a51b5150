import FUSE
import Glibc
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
        _ options: MemoryFileSystem.Options = .init(), _ configuration: SessionConfiguration = SessionConfiguration(),
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

/// Throws the calling thread's errno if a call gave -1.
@discardableResult
func checked<T: SignedInteger>(_ result: T) throws(Errno) -> T {
    if result < 0 { throw Errno(rawValue: errno) }
    return result
}

func openFile(_ path: String, _ flags: CInt, mode: mode_t = 0o644) throws(Errno) -> OwnedDescriptor {
    try OwnedDescriptor.open(path, flags, mode: mode)
}

func writeFile(_ path: String, _ content: [UInt8]) throws(Errno) {
    let file = try openFile(path, O_CREAT | O_TRUNC | O_WRONLY)
    try content.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
}

func readFile(_ path: String) throws(Errno) -> [UInt8] {
    let file = try openFile(path, O_RDONLY)
    var content = [UInt8](repeating: 0, count: Int(try file.status().st_size) + 1)
    let count = try content.withMutableBytes { (bytes) throws(Errno) in try file.read(at: 0, into: bytes) }
    return Array(content.prefix(count))
}

func status(_ path: String) throws(Errno) -> stat {
    var result = stat()
    try checked(lstat(path, &result))
    return result
}

func names(in path: String) throws(Errno) -> [String] {
    guard let directory = opendir(path) else { throw Errno(rawValue: errno) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(cString: $0.baseAddress!.assumingMemoryBound(to: CChar.self)) })
    }
    return names
}
