import ChunkStore
import FileSystem
import Glibc
import LinuxTesting
import Logging
import MetadataStore
import Mount
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// A file system over stores in memory, mounted in a fresh directory. `remount` mounts the same stores anew.
final class MountedFixture {
    let path: String
    let metadata = MemoryMetadataStore()
    let chunks = MemoryChunkStore()
    private var options: MountOptions
    private var mount: MountedVolume?
    private var thread: WorkerThread?
    let ended = Ended()

    final class Ended: Sendable {
        let failures = Mutex<[Failure]>([])
        let count = Atomic<Int>(0)
    }

    init(_ change: (inout MountOptions) -> Void = { _ in }) throws {
        var template = Array("/tmp/mount-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno.current }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        options = MountOptions()
        options.fileSystemName = "test volume"
        options.logger.logLevel = .error
        change(&options)
        try FileSystem.format(metadata, owner: Caller(uid: getuid(), gid: getgid()), now: .now())
        try start()
    }

    private func start() throws {
        var fileSystemOptions = FileSystemOptions()
        fileSystemOptions.readOnly = options.readOnly
        fileSystemOptions.accessTimes = options.accessTimes
        fileSystemOptions.statesPreconditions = true
        let ended = ended
        let fileSystem = try FileSystem(
            metadata: metadata, chunks: chunks,
            environment: FileSystemEnvironment(
                nameHash: { name in name.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } },
                capacity: { () throws(Failure) in VolumeCapacity(totalBytes: 1 << 34, availableBytes: 1 << 33) },
                log: { failure in ended.failures.withLock { $0.append(failure) } }),
            options: fileSystemOptions)
        if !options.readOnly { try fileSystem.recoverOrphans() }
        let mounted = try MountedVolume.mount(fileSystem, at: path, options)
        mount = mounted
        thread = WorkerThread(name: "serve") {
            do throws(Failure) { try mounted.serve() } catch { ended.failures.withLock { $0.append(error) } }
            ended.count.wrappingAdd(1, ordering: .relaxed)
        }
    }

    func path(_ name: String) -> String { "\(path)/\(name)" }

    var mounted: MountedVolume { mount! }

    func unmount() throws {
        try mount?.unmount()
        wait()
    }

    /// Until `serve` has returned.
    func wait() {
        thread?.join()
        thread = nil
        mount = nil
    }

    func remount(_ change: (inout MountOptions) -> Void = { _ in }) throws {
        try unmount()
        change(&options)
        try start()
    }

    /// Runs a script in the mount; its failure is the test's.
    @discardableResult
    func run(_ script: String, asUser user: uid_t? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let result = try shell(script, in: path, asUser: user)
        if result.status != 0 { Issue.record("status \(result.status): \(result.output)", sourceLocation: sourceLocation) }
        return result.output
    }

    deinit {
        mount?.terminate()
        thread?.join()
        rmdir(path)
        let failures = ended.failures.withLock { $0 }
        if !failures.isEmpty { Issue.record("the volume logged \(failures)") }
    }
}
