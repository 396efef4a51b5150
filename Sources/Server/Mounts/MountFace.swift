import FileSystem
import Logging
import Mount
import Synchronization
import Syscalls

/// The second face of a served file system: a mount of the same open volume, served by threads of its own in this process.
final class MountFace: ChangeObserver {
    private let mounted: MountedVolume
    private let thread: WorkerThread
    /// The server ends the mount; otherwise somebody else has.
    private let isEnding: Gate

    private init(_ mounted: MountedVolume, _ thread: WorkerThread, _ isEnding: Gate) {
        self.mounted = mounted
        self.thread = thread
        self.isEnding = isEnding
    }

    static func open(
        _ fileSystem: ServedFileSystem, at directory: String, allowsOthers: Bool, source: String, logger: Logger
    ) throws(Failure) -> MountFace {
        var options = MountOptions()
        options.isShared = true
        options.hiddenName = RequestPath.ownDirectory
        options.allowOther = allowsOthers
        options.accessTimes = .never
        options.fileSystemName = source
        options.logger = logger
        let mounted: MountedVolume
        do throws(Failure) { mounted = try MountedVolume.mount(fileSystem.files, at: directory, options) } catch {
            var failure = error
            failure.message = "cannot mount '\(fileSystem.name)': \(error.message)"
            throw failure
        }
        let isEnding = Gate()
        let thread = WorkerThread(name: "efs-mount") {
            do throws(Failure) { try mounted.serve() } catch { logger.error("serving a mount failed: \(error)") }
            if !isEnding.isOpen {
                logger.warning("a mount was ended by somebody else; HTTPS goes on", metadata: ["mount": "\(mounted.mountPoint)"])
            }
        }
        return MountFace(mounted, thread, isEnding)
    }

    func beginChange() { mounted.beginChange() }
    func endChange() { mounted.endChange() }
    func entryChanged(_ directory: InodeID, _ name: [UInt8]) { mounted.entryChanged(directory, name) }
    func attributesChanged(_ inode: InodeID) { mounted.attributesChanged(inode) }
    func settle() { mounted.settle() }
    func mayHoldWrites(_ inode: InodeID) -> Bool { mounted.mayHoldWrites(inode) }
    func writeBack(_ inode: InodeID) { mounted.writeBack(inode) }

    /// What the kernel holds is written to the volume, then the mount ends, in use or not; returns when nobody asks the volume any more.
    func end() {
        isEnding.open()
        mounted.terminate()
        thread.join()
    }
}
