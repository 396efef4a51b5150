import FileSystem
import Glibc
import KeyManagement
import Sealing
import Syscalls
import SystemPackage

/// `efs mount` up to the serving process: looks at both directories before it asks for a password, creates the volume
/// where there is none yet, and stays or hands over.
struct MountTask {
    let command: MountCommand
    let request: MountRequest

    func run() throws(Failure) {
        try Self.checkApart(data: request.dataDirectory, mountPoint: request.mountPoint)
        if command.unmountOnStart { try MountTable.unmountAll(at: request.mountPoint) }
        try Self.checkMountPoint(request.mountPoint)
        let password = try openOrCreate()
        if command.foreground {
            try ServingProcess(request: request).run(password: password)
        } else {
            try BackgroundMount(request: request, password: password).start()
        }
    }

    /// The password of the volume, which exists after this.
    private func openOrCreate() throws(Failure) -> SecretBytes {
        let source = PasswordSource(command.password, request.options)
        guard !request.options.readOnly, try Volume.holdsNothing(at: request.dataDirectory) else {
            let information = try Volume.information(at: request.dataDirectory)
            if let wanted = command.cipher?.suite, wanted != information.suite {
                Console.warn("the volume is sealed with \(information.suite.name); --cipher counts only when a volume is created")
            }
            return try source.password()
        }
        Console.note("creating a new volume in \(request.dataDirectory)")
        let password = try source.newPassword()
        try Volume.create(
            at: request.dataDirectory, suite: command.cipher?.suite ?? .aes256Gcm, password: password, cost: KeyDerivationCost.calibrated())
        return password
    }

    /// A volume that is mounted over its own data directory, or above it, would wait for itself.
    static func checkApart(data: String, mountPoint: String) throws(Failure) {
        let isInside = { (inner: String, outer: String) in inner == outer || inner.hasPrefix(outer == "/" ? "/" : outer + "/") }
        if isInside(mountPoint, data) {
            throw Failure(.usage, "the mount point is inside the data directory", object: mountPoint, hint: "mount it somewhere else")
        }
        if isInside(data, mountPoint) {
            throw Failure(.usage, "the data directory is inside the mount point", object: mountPoint, hint: "mount it somewhere else")
        }
    }

    static func checkMountPoint(_ path: String) throws(Failure) {
        guard try kind(ofMountPoint: path) == .directory else {
            throw Failure(.missing, "the mount point is not a directory", object: path, hint: "name a directory")
        }
        if let mount = try MountTable.current().mount(at: path) {
            // The kernel may still know the directory's attributes; a question about its free space goes to the server.
            var space = statvfs()
            if mount.isOurs, statvfs(path, &space) != 0, errno == ENOTCONN { throw deadMount(path) }
            throw Failure(
                .busy, "something is mounted there already: \(mount.source) (\(mount.type))", object: path,
                hint: "unmount it first, or choose another mount point")
        }
    }

    private static func kind(ofMountPoint path: String) throws(Failure) -> PathKind {
        do {
            return try PathKind.of(path)
        } catch .noSuchFileOrDirectory {
            throw Failure(.missing, "the mount point does not exist", object: path, hint: "create it with mkdir")
        } catch .socketNotConnected {
            throw deadMount(path)
        } catch {
            throw Failure(systemCall: "stat", object: path, error)
        }
    }

    private static func deadMount(_ path: String) -> Failure {
        Failure(
            .busy, "a mount whose process has died is still there", object: path,
            hint: "'efs umount' removes it, and so does 'efs mount --umount-on-start'")
    }
}
