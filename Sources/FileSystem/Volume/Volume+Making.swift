package import BlobStorage
import Glibc
public import KeyManagement
import Log
import MetadataStore
public import Sealing
public import Syscalls
import SystemPackage

extension Volume {
    /// While a volume is made its header lies here, empty at first: a directory that holds this name and no header holds a volume whose making
    /// was interrupted, and not one that lost its header.
    private static let unfinishedHeader = VolumeHeader.fileName + DirectoryStorage.asideSuffix

    /// Makes an empty volume at `path`: an empty directory, or none whose parent exists, or what an interrupted making left. The header gets its
    /// name last, so that a volume is either whole or none; what was made before a failure is removed. The root directory is the caller's.
    ///
    /// Fails with `.alreadyExists`, `.notEmpty`, `.busy` (another process makes one), `.missing`, `.usage` (empty password).
    public static func create(
        at path: String, suite: CipherSuite, password: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions = VolumeOptions()
    ) throws(Failure) {
        let isNew = try makeDirectory(path)
        let storage = try openStorage(path, readOnly: false)
        try create(in: storage, suite: suite, password: password, cost: cost, options: options) {
            if isNew {
                try? storage.deleteSmallFile(VolumeLock.fileName)
                rmdir(path)
            }
        }
    }

    /// As above, in storage that is open already. `undo` removes the storage itself, after the making of a volume in it failed.
    package static func create(
        in storage: DirectoryStorage, suite: CipherSuite, password: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions,
        undo: () -> Void = {}
    ) throws(Failure) {
        // Before anything is written, also a lock file.
        try checkFree(storage)
        let lock = try VolumeLock(storage, exclusive: true)
        // Another process may have made a volume meanwhile.
        try checkFree(storage)
        try clearUnfinished(storage)
        do throws(Failure) {
            try make(storage, suite, password, cost, options)
        } catch {
            // What failed may have come after the header got its name.
            try? storage.renameSmallFile(VolumeHeader.fileName, to: unfinishedHeader)
            try? clearUnfinished(storage)
            undo()
            throw error
        }
        lock.release()
    }

    /// Whether a volume can be made at `path`; throws what `create` would throw. For asking before a password is asked.
    public static func checkCanBeCreated(at path: String) throws(Failure) {
        do throws(Failure) { try checkFree(try openStorage(path, readOnly: true)) } catch  where error.kind == .missing {
            // There is a file in its place, or nothing.
            if error.cause == .notDirectory { throw error }
        }
    }

    /// Whether the directory is empty, or holds what an interrupted making left. Fails with `.missing` if there is none.
    public static func holdsNothing(at path: String) throws(Failure) -> Bool {
        let storage = try openStorage(path, readOnly: true)
        do throws(Failure) { try checkFree(storage) } catch  where error.kind == .alreadyExists || error.kind == .notEmpty { return false }
        return true
    }

    private static func make(
        _ storage: DirectoryStorage, _ suite: CipherSuite, _ password: SecretBytes, _ cost: KeyDerivationCost, _ options: VolumeOptions
    ) throws(Failure) {
        let (header, keys) = try VolumeHeader.create(suite: suite, password: password, cost: cost)
        let freshness = try FreshnessKeeper(header: header, options: options, path: storage.name)
        let headerFile = try storage.openSmallFile(unfinishedHeader)
        var logOptions = try makeLogOptions(options, storage)
        logOptions.headerRevision = { header.revision }
        let log = try VolumeLog.create(storage, keys: keys, headerDigest: header.digest, options: logOptions)
        do throws(Failure) {
            try FileSystem.format(
                EmbeddedMetadataStore(log), owner: Caller(uid: geteuid(), gid: getegid()), mode: 0o755, now: Timestamp.now())
            try log.close()
        } catch {
            // Its threads must not write when what was made is removed.
            log.abandon()
            throw error
        }
        try header.encoded.withBytes { (bytes) throws(Failure) in try headerFile.write(bytes, at: 0) }
        try headerFile.sync()
        try storage.renameSmallFile(unfinishedHeader, to: VolumeHeader.fileName)
        try freshness.remember(log.durable)
    }

    /// False if there is one already.
    private static func makeDirectory(_ path: String) throws(Failure) -> Bool {
        if mkdir(path, 0o700) == 0 { return true }
        let error = Errno.current
        guard error == .fileExists else { throw Failure(systemCall: "making the data directory", object: path, error) }
        return false
    }

    /// Throws if the directory holds a volume, or anything else that a making does not leave.
    private static func checkFree(_ storage: DirectoryStorage) throws(Failure) {
        let names = try storage.names()
        if names.contains(VolumeHeader.fileName) {
            throw Failure(
                .alreadyExists, "is an efs volume already", object: storage.name,
                hint: "mount it with: efs mount \(storage.name) MOUNTPOINT")
        }
        let others = names.filter { $0 != "lost+found" && $0 != VolumeLock.fileName }
        // Without that name it may be a volume that lost its header, which may be in a backup.
        if others.isEmpty || others.contains(unfinishedHeader) && others.allSatisfy(isOurs) { return }
        throw Failure(.notEmpty, "is not empty", object: storage.name, hint: "a volume is made in an empty directory")
    }

    private static func isOurs(_ name: String) -> Bool {
        name == unfinishedHeader || name.hasPrefix("efs.head.") || name == "efs.reserve" || DirectoryStorage.isBlobFolder(name)
    }

    /// Removes what an interrupted making left. The caller holds the lock, and there is no header.
    private static func clearUnfinished(_ storage: DirectoryStorage) throws(Failure) {
        guard try storage.names().contains(unfinishedHeader) else { return }
        try storage.deleteAllBlobs()
        for name in try storage.names() where isOurs(name) && name != unfinishedHeader { try storage.deleteSmallFile(name) }
        // The mark of what is to be removed goes last, and not before the rest is gone for good: without it, what a power cut brought back
        // would be taken for a volume that lost its header.
        try storage.syncDirectory()
        try storage.deleteSmallFile(unfinishedHeader)
    }
}

// MARK: - Passwords

extension Volume {
    /// Lets `new` open the volume instead of `old`. Only the header is rewritten, in one atomic step: at any kill one of the two passwords
    /// opens it. Works while the volume is mounted; waits for another change that is under way.
    public static func changePassword(
        at path: String, from old: SecretBytes, to new: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions = VolumeOptions()
    ) throws(Failure) {
        try changePassword(in: try openStorage(path, readOnly: false), from: old, to: new, cost: cost, options: options)
    }

    /// As above, in storage that is open already.
    package static func changePassword(
        in storage: DirectoryStorage, from old: SecretBytes, to new: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions
    ) throws(Failure) {
        let lock = try storage.lockForReplacing(VolumeHeader.fileName)
        // Under the lock, so that a change by another process is not undone.
        let header = try readHeader(storage)
        let changed = try header.changingPassword(from: old, to: new, cost: cost)
        try storage.deleteAside(of: VolumeHeader.fileName)
        try storage.replaceSmallFile(VolumeHeader.fileName, with: changed.encoded)
        try FreshnessKeeper(header: changed, options: options, path: storage.name).rememberHeader()
        withExtendedLifetime(lock) {}
    }
}
