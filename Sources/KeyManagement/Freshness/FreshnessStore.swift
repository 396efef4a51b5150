import Glibc
import Sealing
public import Syscalls
import SystemPackage

/// Where freshness states are kept: one small file for each volume, named by its id. Thread-safe.
public struct FreshnessStore: Sendable {
    public let directory: String
    private static let largestSizeBytes = 4096

    public init(directory: String) { self.directory = directory }

    /// `$XDG_STATE_HOME/efs`, by default `~/.local/state/efs`; for root without a home `/var/lib/efs`. Fails with `.missing` for
    /// another user without a home.
    public static func standard() throws(Failure) -> FreshnessStore {
        try standard(stateHome: variable("XDG_STATE_HOME"), home: variable("HOME"), isRoot: geteuid() == 0)
    }

    static func standard(stateHome: String?, home: String?, isRoot: Bool) throws(Failure) -> FreshnessStore {
        // The XDG specification: a relative path is to be ignored.
        if let stateHome, stateHome.hasPrefix("/") { return FreshnessStore(directory: stateHome + "/efs") }
        if let home, home.hasPrefix("/"), home != "/" { return FreshnessStore(directory: home + "/.local/state/efs") }
        guard isRoot else {
            throw Failure(.missing, "no place to keep what was last seen of a volume", hint: "set HOME or XDG_STATE_HOME")
        }
        return FreshnessStore(directory: "/var/lib/efs")
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private func path(_ volumeID: [UInt8]) -> String { directory + "/" + Hexadecimal.encode(volumeID) }

    /// What was last seen; nil if this machine has never seen the volume. Fails with `.damaged` if the file is not what `store`
    /// writes: a volume that may have been rolled back is not to be opened because of that.
    public func load(volumeID: [UInt8]) throws(Failure) -> FreshnessState? {
        let path = path(volumeID)
        guard let bytes = try read(path) else { return nil }
        guard bytes.count <= Self.largestSizeBytes, let state = FreshnessState(encoded: bytes, volumeID: volumeID) else {
            throw Failure(
                .damaged, "what was last seen of the volume cannot be read", object: path,
                hint: "if you are sure that the volume is in its newest state, delete this file")
        }
        return state
    }

    /// At most one byte more than allowed; nil if there is no such file.
    private func read(_ path: String) throws(Failure) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.largestSizeBytes + 1)
        do throws(Errno) {
            // NONBLOCK: a FIFO in the file's place must not hang the mount.
            let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK)
            let count = try bytes.withMutableBytes { (buffer) throws(Errno) in try file.read(at: 0, into: buffer) }
            bytes.removeSubrange(count...)
            return bytes
        } catch  where error == .noSuchFileOrDirectory {
            return nil
        } catch {
            throw Failure(systemCall: "reading the state file", object: path, error)
        }
    }

    /// Changes the state to what `change` makes of it, nil for no change; of several processes one after the other.
    public func update(
        volumeID: [UInt8], _ change: (FreshnessState?) throws(Failure) -> FreshnessState?
    ) throws(Failure) {
        makeDirectories()
        let lock: OwnedDescriptor
        do throws(Errno) {
            lock = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY)
            _ = try retrying { flock(lock.rawValue, LOCK_EX) }
        } catch {
            throw Failure(systemCall: "locking the directory of state files", object: directory, error)
        }
        if let changed = try change(try load(volumeID: volumeID)) { try store(changed, volumeID: volumeID) }
        withExtendedLifetime(lock) {}
    }

    /// Replaces the state atomically: a reader, also after a power cut, finds the old one or the new one, whole. A power cut may
    /// bring the old one back, which is never a reason to refuse a volume.
    public func store(_ state: FreshnessState, volumeID: [UInt8]) throws(Failure) {
        let path = path(volumeID)
        let temporary = "\(path).\(getpid()).\(String(RandomSource.system.next(), radix: 36))"
        makeDirectories()
        do throws(Errno) {
            let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            try state.encoded(volumeID: volumeID).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
            // Before the rename, or a power cut may leave an empty file under the name.
            try file.syncData()
            if rename(temporary, path) != 0 { throw Errno.current }
        } catch {
            unlink(temporary)
            throw Failure(systemCall: "writing the state file", object: path, error)
        }
    }

    /// Forgets a volume; no failure if it was not known.
    public func remove(volumeID: [UInt8]) throws(Failure) {
        let path = path(volumeID)
        if unlink(path) != 0, errno != ENOENT { throw Failure(systemCall: "deleting the state file", object: path, .current) }
    }

    /// Errors are left to the file's opening, which fails with the one that matters.
    private func makeDirectories() {
        if mkdir(directory, 0o700) == 0 || errno == EEXIST { return }
        var path = ""
        for component in directory.split(separator: "/") {
            path += "/" + component
            mkdir(path, 0o700)
        }
    }
}
