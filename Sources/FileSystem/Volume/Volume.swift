import BlobStorage
import ChunkStore
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
    /// The newest commit that this opening found.
    private let openedAt: CommitMark
    let storage: DirectoryStorage
    private let lock: VolumeLock
    private let freshness: FreshnessKeeper

    private init(
        fileSystem: FileSystem, header: VolumeHeader, path: String, isReadOnly: Bool, log: VolumeLog, lock: VolumeLock,
        freshness: FreshnessKeeper, openedAt: CommitMark, storage: DirectoryStorage
    ) {
        self.openedAt = openedAt
        self.storage = storage
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

    /// The newest commit on stable storage. After `close` it is what the next opening finds, if nobody opens the volume in between.
    package var durableState: String { Self.text(log.durable.mark) }

    /// What this opening found, in the same form: generation and digest of a commit.
    package var openedState: String { Self.text(openedAt) }

    static func text(_ mark: CommitMark) -> String { "\(mark.generation):\(mark.digest)" }

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
        let revision = HeaderRevision(of: header, storage, keys)
        let freshness = try FreshnessKeeper(header: header, options: options, path: path) { revision.newest }
        var logOptions = try makeLogOptions(options, storage)
        logOptions.headerRevision = { revision.read() }
        if !options.isReadOnly { logOptions.didBecomeDurable = { freshness.rememberQuietly($0, options.report) } }
        var openedAt = CommitMark.none
        let log = try VolumeLog.open(storage, keys: keys, headerDigest: header.digest, options: logOptions) { (history) throws(Failure) in
            openedAt = history.mark
            try freshness.judge(history)
        }
        do throws(Failure) {
            if !options.isReadOnly, options.acceptsRollback { try freshness.acceptHeader() }
            let fileSystem = try makeFileSystem(log, keys, storage, options)
            attachCleaner(log, fileSystem)
            if !options.isReadOnly { try fileSystem.recoverOrphans() }
            return Volume(
                fileSystem: fileSystem, header: header, path: path, isReadOnly: options.isReadOnly, log: log, lock: lock,
                freshness: freshness, openedAt: openedAt, storage: storage)
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

    static func makeLogOptions(_ options: VolumeOptions, _ storage: DirectoryStorage) throws(Failure) -> LogOptions {
        var result = LogOptions()
        // A segment must be small beside the storage, or the cleaner of a full disk finds no room to move what is live of one.
        result.segmentSizeBytes = min(max(try storage.capacity().totalBytes / 64, 2 << 20), result.segmentSizeBytes)
        result.isReadOnly = options.isReadOnly
        result.blockCacheBytes = options.cacheBytes
        result.acceptsRollback = options.acceptsRollback
        result.report = options.report
        return result
    }

    private static func makeFileSystem(
        _ log: VolumeLog, _ keys: KeyHierarchy, _ storage: DirectoryStorage, _ options: VolumeOptions
    ) throws(Failure) -> FileSystem {
        let hasher = NameHasher(keys: keys)
        var environment = FileSystemEnvironment(
            nameHash: { hasher.hash($0) },
            capacity: { () throws(Failure) in
                let room = try storage.capacity()
                // What is kept for root is not for those who use the mount, whoever serves it.
                return VolumeCapacity(totalBytes: room.totalBytes, availableBytes: room.availableToUsersBytes)
            },
            log: { options.report("\($0)") })
        environment.usageObserver = options.usageObserver
        var fileOptions = FileSystemOptions()
        fileOptions.readOnly = options.isReadOnly
        fileOptions.accessTimes = options.accessTimes
        return try FileSystem(
            metadata: EmbeddedMetadataStore(log), chunks: EmbeddedChunkStore(log), environment: environment, options: fileOptions)
    }
}
