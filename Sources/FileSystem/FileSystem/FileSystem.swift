public import ChunkStore
public import MetadataStore
import Records
import Synchronization
public import Syscalls
public import SystemPackage

/// A POSIX file system over metadata records and chunks of data: what ext4 does, by inode and raw-byte name.
///
/// Access rights are the caller's matter (the kernel's, with `default_permissions`). Thread-safe: every operation is atomic
/// towards the others. Everything that throws gives the error number that the system call would give.
///
/// How it stays consistent:
/// - Each inode belongs to one of 256 stripes. Its records, those of its entries, extents and attributes, and what is cached of
///   it change only under that stripe's lock. An operation on several inodes holds their stripes, taken in ascending order.
/// - What an operation changes is one batch, so other threads and a crash see all or nothing of it. What has no bound (the
///   extents of a file that goes away) is several batches, each of which leaves a valid state (docs/format/records.md).
/// - What is cached is changed after the batch was applied, so a failed one leaves no trace.
/// - Moving directories to another parent is serialised by `renameLock`, so no parent changes while ancestors are walked.
/// - Sealing and reading chunks happens outside of the locks.
public final class FileSystem: Sendable {
    public let options: FileSystemOptions
    let metadata: any MetadataStore
    let chunks: any ChunkStore
    let environment: FileSystemEnvironment
    let stripes: [Stripe]
    let numbers: InodeNumbers
    let scratches = ScratchPool()
    let renameLock = Lock()
    private let reports = ReportLimit()
    /// Everything up to here is known to be on stable storage.
    let durableToken = Atomic<UInt64>(0)

    /// Opens the file system that the stores hold. Fails if they hold none (`format` makes one).
    public init(
        metadata: any MetadataStore, chunks: any ChunkStore, environment: FileSystemEnvironment, options: FileSystemOptions = .init()
    ) throws(Failure) {
        self.metadata = metadata
        self.chunks = chunks
        self.environment = environment
        var options = options
        options.inlineLimitBytes = min(max(options.inlineLimitBytes, 0), 16_384)
        self.options = options
        let cacheLimit = max(4, options.cachedInodeLimit / Stripe.count)
        stripes = (0..<Stripe.count).map { _ in Stripe(cacheLimit: cacheLimit) }
        numbers = try InodeNumbers(metadata: metadata, writer: options.writer)
        var root: Inode?
        guard try metadata.get(Keys.inode(InodeID.root.rawValue), { root = Inode.decode($0) }) else {
            throw Failure(.damaged, "the volume has no root directory")
        }
        guard let root, root.isDirectory else { throw Failure(.damaged, "the root directory cannot be read") }
    }

    /// Makes the root directory of an empty volume.
    public static func format(_ metadata: any MetadataStore, owner: Caller, mode: UInt32 = 0o755, now: Timestamp) throws(Failure) {
        let id = InodeID.root.rawValue
        guard try !metadata.get(Keys.inode(id), { _ in }) else { throw Failure(.alreadyExists, "the volume has a root directory") }
        var root = Inode(
            mode: InodeType.directory.modeBits | (mode & Mode.permissionMask), linkCount: 2, uid: owner.uid, gid: owner.gid, time: now)
        root.parent = id
        let batch = RecordBatch()
        batch.put(Keys.inode(id)) { root.encode(into: &$0) }
        _ = try metadata.apply(batch, [])
    }
}

// MARK: Stores
extension FileSystem {
    /// Tells the log of a failure, but not of the same one again and again, and gives its error number.
    func errno(of failure: Failure) -> Errno {
        if reports.isDue(failure) { environment.log(failure) }
        return failure.errno
    }

    func damaged(_ what: String, _ inode: UInt64) -> Errno {
        errno(of: Failure(.damaged, what, object: "inode \(inode)"))
    }

    func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Errno) -> Bool {
        do throws(Failure) { return try metadata.get(key, body) } catch { throw errno(of: error) }
    }

    func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) throws(Errno) {
        do throws(Failure) { try metadata.scan(from: lower, to: upper, body) } catch { throw errno(of: error) }
    }

    func apply(_ batch: RecordBatch, _ preconditions: [Precondition] = []) throws(Errno) -> CommitToken {
        do throws(Failure) { return try metadata.apply(batch, preconditions) } catch { throw errno(of: error) }
    }

    func nextInodeNumber(for directory: UInt64) throws(Errno) -> UInt64 {
        do throws(Failure) { return try numbers.next(for: directory) } catch { throw errno(of: error) }
    }

    func requireWritable() throws(Errno) {
        if options.readOnly { throw .readOnlyFileSystem }
    }
}

// MARK: Durability and the volume
extension FileSystem {
    /// Returns when all changes of the inode (of a directory: of its entries too) are on stable storage.
    public func synchronize(_ inode: InodeID, dataOnly: Bool) throws(Errno) {
        let stripe = stripe(inode.rawValue)
        stripe.lock()
        let token = stripe.cache.token(inode.rawValue)
        stripe.unlock()
        try makeDurable(token)
    }

    /// Returns when all changes of the volume are on stable storage.
    public func synchronizeAll() throws(Errno) { try makeDurable(metadata.currentToken()) }

    private func makeDurable(_ token: CommitToken) throws(Errno) {
        // A token is a promise about a prefix: what covers a later one covers this.
        if token <= durableToken.load(ordering: .acquiring) { return }
        do throws(Failure) { try metadata.durable(token) } catch { throw errno(of: error) }
        durableToken.max(token, ordering: .releasing)
    }

    public func statistics() throws(Errno) -> VolumeStatistics {
        let capacity: VolumeCapacity
        do throws(Failure) { capacity = try environment.capacity() } catch { throw errno(of: error) }
        let blockSize: UInt64 = 4096
        let free = min(capacity.availableBytes, capacity.totalBytes) / blockSize
        // An inode takes about as much as its smallest record and name: there is no other limit to their number.
        return VolumeStatistics(
            blockSizeBytes: UInt32(blockSize), totalBlocks: capacity.totalBytes / blockSize, freeBlocks: free, availableBlocks: free,
            totalInodes: capacity.totalBytes / 128, freeInodes: capacity.availableBytes / 128,
            maximumNameBytes: UInt32(FileLimits.maximumNameBytes))
    }
}
