import BlobStorage
import ChunkStore
import Glibc
public import KeyManagement
public import Log
import MetadataStore
import Records
public import Sealing
import Synchronization
public import Syscalls
import SystemPackage

/// An open encrypted volume: a data directory, its keys, its log, and the file system in it.
///
/// Thread-safe. `close` once, when nothing uses the file system any more; a volume that is dropped without it is as after a crash: everything
/// that was made durable is there.
public final class Volume: Sendable {
    public let fileSystem: FileSystem
    public let header: VolumeHeader
    public let path: String
    public let isReadOnly: Bool
    let log: VolumeLog
    private let lock: VolumeLock
    private let freshness: FreshnessKeeper

    private init(
        fileSystem: FileSystem, header: VolumeHeader, path: String, isReadOnly: Bool, log: VolumeLog, lock: VolumeLock,
        freshness: FreshnessKeeper
    ) {
        self.fileSystem = fileSystem
        self.header = header
        self.path = path
        self.isReadOnly = isReadOnly
        self.log = log
        self.lock = lock
        self.freshness = freshness
    }

    deinit { log.abandon() }

    /// Puts everything on stable storage.
    public func sync() throws(Failure) { try log.durable(log.currentToken()) }

    /// Puts what is only in the log into tables, so that the next opening replays less and what is garbage can go.
    public func checkpoint() throws(Failure) { try log.checkpoint() }

    /// Ends the volume in order: everything on stable storage, the next opening replays nothing.
    public func close() throws(Failure) {
        defer { lock.release() }
        log.setRelocator(nil)
        try log.close()
        if !isReadOnly { try freshness.remember(log.durable) }
    }

    /// What the log can say of itself.
    public var statistics: LogStatistics { log.statistics }
}

// MARK: - Opening

extension Volume {
    /// Opens the volume at `path`.
    ///
    /// Fails with `.notAVolume`, `.wrongPassword`, `.damaged`, `.newerFormat`, `.busy` (another process has it), `.rolledBack`.
    public static func open(at path: String, password: SecretBytes, options: VolumeOptions = VolumeOptions()) throws(Failure) -> Volume {
        let storage = try openStorage(path, readOnly: options.isReadOnly)
        let header = try readHeader(storage)
        if header.mustBeReadOnly, !options.isReadOnly {
            throw Failure(
                .newerFormat, "uses a feature that this version can only read", object: path,
                hint: "mount it with --read-only, or use a newer efs")
        }
        let lock = try VolumeLock(storage, exclusive: !options.isReadOnly)
        let keys = try header.unlock(password: password)
        let freshness = try FreshnessKeeper(header: header, options: options, path: path)
        var logOptions = try makeLogOptions(header, options, storage)
        if !options.isReadOnly { logOptions.didBecomeDurable = { freshness.rememberQuietly($0, options.report) } }
        let log = try VolumeLog.open(storage, keys: keys, headerDigest: header.digest, options: logOptions) { (history) throws(Failure) in
            try freshness.judge(history)
        }
        do throws(Failure) {
            let fileSystem = try makeFileSystem(log, keys, storage, options)
            attachCleaner(log, fileSystem)
            if !options.isReadOnly { try fileSystem.recoverOrphans() }
            return Volume(
                fileSystem: fileSystem, header: header, path: path, isReadOnly: options.isReadOnly, log: log, lock: lock,
                freshness: freshness)
        } catch {
            // Its threads must not write when the lock is gone.
            log.abandon()
            throw error
        }
    }

    private static func attachCleaner(_ log: VolumeLog, _ fileSystem: FileSystem) {
        log.setRelocator { (chunk, inode, fileOffset) throws(Failure) in
            // The copy goes into the log like any other write; times and change counter stay.
            try fileSystem.relocate(chunk, inode: InodeID(inode), fileOffset: fileOffset) { (data, inode, offset) throws(Failure) in
                try log.writeChunk(data, inode: inode.rawValue, fileOffset: offset)
            }
        }
    }

    static func openStorage(_ path: String, readOnly: Bool) throws(Failure) -> DirectoryStorage {
        do { return try DirectoryStorage(path: path, readOnly: readOnly) } catch {
            var failure = error
            if error.kind == .missing {
                failure.message = error.cause == .notDirectory ? "is not a directory" : "there is no such directory"
                failure.cause = nil
                failure.hint = "make a volume with: efs init \(path)"
            }
            throw failure
        }
    }

    static func readHeader(_ storage: DirectoryStorage) throws(Failure) -> VolumeHeader {
        guard let bytes = try storage.readSmallFile(VolumeHeader.fileName, limitBytes: VolumeHeader.largestSizeBytes) else {
            throw Failure(
                .notAVolume, "is not an efs volume: it has no \(VolumeHeader.fileName)", object: storage.name,
                hint: "make one with: efs init \(storage.name)")
        }
        do { return try VolumeHeader.parse(bytes) } catch {
            var failure = error
            failure.object = failure.object ?? "\(storage.name)/\(VolumeHeader.fileName)"
            throw failure
        }
    }

    private static func makeLogOptions(
        _ header: VolumeHeader, _ options: VolumeOptions, _ storage: DirectoryStorage
    ) throws(Failure) -> LogOptions {
        var result = LogOptions()
        // A segment must be small beside the storage, or the cleaner of a full disk finds no room to move what is live of one.
        result.segmentSizeBytes = min(max(try storage.capacity().totalBytes / 64, 2 << 20), result.segmentSizeBytes)
        result.isReadOnly = options.isReadOnly
        result.blockCacheBytes = options.cacheBytes
        result.headerRevision = header.revision
        result.acceptsRollback = options.acceptsRollback
        result.report = options.report
        return result
    }

    private static func makeFileSystem(
        _ log: VolumeLog, _ keys: KeyHierarchy, _ storage: DirectoryStorage, _ options: VolumeOptions
    ) throws(Failure) -> FileSystem {
        let hasher = NameHasher(keys: keys)
        let environment = FileSystemEnvironment(
            nameHash: { hasher.hash($0) },
            capacity: { () throws(Failure) in
                let room = try storage.capacity()
                return VolumeCapacity(totalBytes: room.totalBytes, availableBytes: room.availableBytes)
            },
            log: { options.report("\($0)") })
        var fileOptions = FileSystemOptions()
        fileOptions.readOnly = options.isReadOnly
        fileOptions.accessTimes = options.accessTimes
        return try FileSystem(
            metadata: EmbeddedMetadataStore(log), chunks: EmbeddedChunkStore(log), environment: environment, options: fileOptions)
    }
}

// MARK: - Making

extension Volume {
    /// Makes an empty volume at `path`: an empty directory, or none whose parent exists. The header is written last, so that a volume is either
    /// whole or none. The root directory is the caller's.
    ///
    /// Fails with `.alreadyExists`, `.notEmpty`, `.missing`, `.usage` (empty password).
    public static func create(
        at path: String, suite: CipherSuite, password: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions = VolumeOptions()
    ) throws(Failure) {
        try makeEmptyDirectory(path)
        let storage = try openStorage(path, readOnly: false)
        let lock = try VolumeLock(storage, exclusive: true)
        let (header, keys) = try VolumeHeader.create(suite: suite, password: password, cost: cost)
        let logOptions = try makeLogOptions(header, options, storage)
        let log = try VolumeLog.create(storage, keys: keys, headerDigest: header.digest, options: logOptions)
        try FileSystem.format(EmbeddedMetadataStore(log), owner: Caller(uid: geteuid(), gid: getegid()), mode: 0o755, now: Timestamp.now())
        try log.close()
        try storage.replaceSmallFile(VolumeHeader.fileName, with: header.encoded)
        try FreshnessKeeper(header: header, options: options, path: path).remember(log.durable)
        withExtendedLifetime(lock) {}
    }

    private static func makeEmptyDirectory(_ path: String) throws(Failure) {
        if mkdir(path, 0o700) == 0 { return }
        let error = Errno.current
        guard error == .fileExists else { throw Failure(systemCall: "making the data directory", object: path, error) }
        let storage = try openStorage(path, readOnly: true)
        if try storage.readSmallFile(VolumeHeader.fileName, limitBytes: VolumeHeader.largestSizeBytes) != nil {
            throw Failure(.alreadyExists, "is an efs volume already", object: path, hint: "mount it with: efs mount \(path) MOUNTPOINT")
        }
        guard try storage.isEmpty() else {
            throw Failure(.notEmpty, "is not empty", object: path, hint: "a volume is made in an empty directory")
        }
    }

    /// Lets `new` open the volume instead of `old`. Only the header is rewritten, in one atomic step: at any kill one of the two passwords
    /// opens it. Works while the volume is mounted.
    public static func changePassword(
        at path: String, from old: SecretBytes, to new: SecretBytes, cost: KeyDerivationCost, options: VolumeOptions = VolumeOptions()
    ) throws(Failure) {
        let storage = try openStorage(path, readOnly: false)
        let header = try readHeader(storage)
        let changed = try header.changingPassword(from: old, to: new, cost: cost)
        try storage.replaceSmallFile(VolumeHeader.fileName, with: changed.encoded)
        try FreshnessKeeper(header: changed, options: options, path: path).rememberHeader()
    }
}
