import FileSystem
import Glibc
import Logging
package import Syscalls
import SystemPackage

/// What the server mounts of what it serves (`--mount FS=DIR`).
extension ServerCore {
    /// Before anything is opened, so that a mistake shows at the start: what is asked for twice, mount points that are not there, in use,
    /// or in the way.
    package func checkMounts() throws(Failure) {
        var names: Set<String> = []
        var directories: Set<String> = []
        for mount in options.mounts {
            try ServerLayout.checkName(mount.fileSystem, of: "file system")
            guard names.insert(mount.fileSystem).inserted else {
                throw Failure(.usage, "'\(mount.fileSystem)' is to be mounted twice", hint: "one --mount for a file system")
            }
            let directory = try Self.checkMountPoint(mount.directory, root: layout.root)
            guard directories.insert(directory).inserted else {
                throw Failure(.usage, "two file systems are to be mounted there", object: directory)
            }
        }
    }

    /// The absolute path of the mount point.
    private static func checkMountPoint(_ path: String, root: String) throws(Failure) -> String {
        let own: FileStatus
        let above: FileStatus
        do throws(Errno) {
            own = try FileStatus(of: path)
            guard own.isDirectory else { throw .notDirectory }
            above = try FileStatus(of: path + "/..")
        } catch {
            if error == .notDirectory { throw Failure(.usage, "the mount point is not a directory", object: path, cause: error) }
            if error == .noSuchFileOrDirectory {
                throw Failure(.missing, "the mount point does not exist", object: path, hint: "create the directory", cause: error)
            }
            if error == .socketNotConnected {
                throw Failure(
                    .busy, "a dead mount is still there", object: path, hint: "unmount it first: umount -l, or fusermount3 -uz",
                    cause: error)
            }
            throw Failure(systemCall: "opening the mount point", object: path, error)
        }
        guard own.device == above.device, own.inode != above.inode else {
            throw Failure(.busy, "something is mounted there already", object: path, hint: "unmount it, or choose another directory")
        }
        let (directory, server) = (try canonical(path), try canonical(root))
        guard !(directory + "/").hasPrefix(server + "/"), !(server + "/").hasPrefix(directory + "/") else {
            throw Failure(.usage, "the mount point and the server's root must not lie in each other", object: path)
        }
        return directory
    }

    private static func canonical(_ path: String) throws(Failure) -> String {
        guard let resolved = realpath(path, nil) else { throw Failure(systemCall: "realpath", object: path, Errno.current) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Mounts what is to be mounted of these. Where one fails, all of them are closed.
    func openMounts(of fileSystems: [String: ServedFileSystem]) throws(Failure) {
        try checkMounts()
        do throws(Failure) {
            for mount in options.mounts {
                guard let fileSystem = fileSystems[mount.fileSystem] else {
                    logger.warning("a file system that is to be mounted is not there", metadata: ["fileSystem": "\(mount.fileSystem)"])
                    continue
                }
                try openMount(of: fileSystem)
            }
        } catch {
            for fileSystem in fileSystems.values { try? fileSystem.close() }
            throw error
        }
    }

    /// Mounts the file system, if it is one of those.
    func openMount(of fileSystem: ServedFileSystem) throws(Failure) {
        guard let mount = options.mounts.first(where: { $0.fileSystem == fileSystem.name }) else { return }
        let face = try MountFace.open(
            fileSystem, at: mount.directory, allowsOthers: options.mountsAllowOthers, source: layout.fileSystem(fileSystem.name).files,
            logger: logger)
        fileSystem.setObserver(face)
    }
}

extension ServedFileSystem {
    /// Ends the mount, if there is one; nothing comes from it any more when this returns.
    func endMount() {
        observer?.end()
        setObserver(nil)
    }

    /// Ends the mount and closes the volume.
    func close() throws(Failure) {
        endMount()
        try volume.close()
    }
}
