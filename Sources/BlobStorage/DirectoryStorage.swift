import Glibc
import Synchronization
public import Syscalls
import SystemPackage

/// A plain directory: each blob a file `3f12/de0f…` (the first four hexadecimal digits of its name, then the rest), so no
/// folder grows beyond 65,536 entries; the small files beside them. All calls are relative to the opened directory, which
/// may be renamed meanwhile.
public final class DirectoryStorage: BlobStorage {
    public let name: String
    public let isReadOnly: Bool
    private let root: OwnedDescriptor
    /// Folders made by this process whose own entry in the root is not yet known to be durable.
    private let unsyncedFolders = Mutex<Set<String>>([])
    /// Whether the root was synced by this process: a folder that was found may have been made by one that was killed.
    private let hasSyncedRoot = Atomic<Bool>(false)

    /// Opens an existing directory. Writing is tried only when `readOnly` is false.
    public init(path: String, readOnly: Bool) throws(Failure) {
        name = path
        isReadOnly = readOnly
        do { root = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY) } catch {
            throw Failure(systemCall: "opening the data directory", object: path, error)
        }
    }

    private static func folder(of id: BlobID) -> String { String(id.description.prefix(4)) }
    private static func path(of id: BlobID) -> String {
        let digits = id.description
        return digits.prefix(4) + "/" + digits.dropFirst(4)
    }

    private func failure(_ call: String, _ object: String, _ error: Errno) -> Failure {
        Failure(systemCall: call, object: "\(name)/\(object)", error)
    }

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let path = Self.path(of: id)
        let flags = O_RDWR | O_CREAT | O_EXCL
        // The folder may go again before it is used, with the last blob that another thread deletes in it.
        for _ in 0..<8 {
            do {
                return FileBlob(try OwnedDescriptor.open(path, at: root, flags), name: "\(name)/\(path)")
            } catch  where error == .noSuchFileOrDirectory {
                try makeFolder(Self.folder(of: id))
            } catch { throw failure("creating", path, error) }
        }
        throw failure("creating", path, .noSuchFileOrDirectory)
    }

    private func makeFolder(_ folder: String) throws(Failure) {
        if mkdirat(root.rawValue, folder, 0o700) != 0, errno != EEXIST { throw failure("creating", folder, .current) }
        unsyncedFolders.withLock { _ = $0.insert(folder) }
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        let path = Self.path(of: id)
        do { return FileBlob(try OwnedDescriptor.open(path, at: root, O_RDONLY), name: "\(name)/\(path)") } catch {
            throw failure("opening", path, error)
        }
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        let path = Self.path(of: id)
        if unlinkat(root.rawValue, path, 0) != 0 { throw failure("deleting", path, .current) }
        // The folder goes with its last blob; one that is not empty stays, which is no error.
        if unlinkat(root.rawValue, Self.folder(of: id), AT_REMOVEDIR) == 0 {
            unsyncedFolders.withLock { _ = $0.remove(Self.folder(of: id)) }
        }
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        let path = Self.path(of: id)
        do { try OwnedDescriptor.open(path, at: root, O_WRONLY).truncate(to: sizeBytes) } catch { throw failure("truncating", path, error) }
    }

    public func syncBlob(_ id: BlobID) throws(Failure) {
        let path = Self.path(of: id)
        do { try OwnedDescriptor.open(path, at: root, O_RDONLY).syncData() } catch { throw failure("fdatasync", path, error) }
    }

    public func syncNames(of ids: [BlobID]) throws(Failure) {
        for folder in Set(ids.map(Self.folder)) {
            do { try OwnedDescriptor.open(folder, at: root, O_RDONLY | O_DIRECTORY).sync() } catch {
                throw failure("syncing", folder, error)
            }
        }
        let fresh = unsyncedFolders.withLock { $0 }
        if fresh.isEmpty, hasSyncedRoot.load(ordering: .relaxed) { return }
        do { try root.sync() } catch { throw failure("syncing", ".", error) }
        hasSyncedRoot.store(true, ordering: .relaxed)
        unsyncedFolders.withLock { $0.subtract(fresh) }
    }

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for folder in try entries(of: ".") where folder.utf8.count == 4 && UInt64(folder, radix: 16) != nil {
            for file in try entries(of: folder) {
                let digits = folder + file
                guard digits.utf8.count == 32, let high = UInt64(digits.prefix(16), radix: 16),
                    let low = UInt64(digits.suffix(16), radix: 16), digits == digits.lowercased()
                else { continue }
                try visit(BlobID(high: high, low: low))
            }
        }
    }

    /// Whether the directory holds nothing at all.
    public func isEmpty() throws(Failure) -> Bool { try entries(of: ".").allSatisfy { $0 == "lost+found" } }

    private func entries(of folder: String) throws(Failure) -> [String] {
        do { return try directoryNames(folder, at: root) } catch { throw failure("listing", folder, error) }
    }

    public func capacity() throws(Failure) -> StorageCapacity {
        var facts = statvfs()
        if fstatvfs(root.rawValue, &facts) != 0 { throw failure("statvfs", ".", .current) }
        let unit = UInt64(facts.f_frsize)
        // Some file systems keep blocks that only root may take.
        let free = geteuid() == 0 ? facts.f_bfree : facts.f_bavail
        return StorageCapacity(totalBytes: UInt64(facts.f_blocks) * unit, availableBytes: UInt64(free) * unit)
    }
}

// MARK: - Small files

extension DirectoryStorage {
    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        // One byte more than the limit tells a file that is too large, whatever its size claims.
        var bytes = [UInt8](repeating: 0, count: limitBytes + 1)
        var count = 0
        do {
            let descriptor = try OwnedDescriptor.open(file, at: root, O_RDONLY)
            count = try bytes.withMutableBytes { (buffer) throws(Errno) in try descriptor.read(at: 0, into: buffer) }
        } catch  where error == .noSuchFileOrDirectory {
            return nil
        } catch { throw failure("reading", file, error) }
        guard count <= limitBytes else { throw Failure(.damaged, "is larger than \(limitBytes) bytes", object: "\(name)/\(file)") }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) {
        let aside = "\(file).new"
        do throws(Errno) {
            let descriptor = try OwnedDescriptor.open(aside, at: root, O_WRONLY | O_CREAT | O_TRUNC)
            try bytes.withBytes { (buffer) throws(Errno) in try descriptor.write(buffer, at: 0) }
            try descriptor.sync()
            if renameat(root.rawValue, aside, root.rawValue, file) != 0 { throw Errno.current }
            try root.sync()
        } catch { throw failure("writing", file, error) }
    }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        do {
            let descriptor = try OwnedDescriptor.open(file, at: root, O_RDWR | O_CREAT)
            try root.sync()
            return FileBlob(descriptor, name: "\(name)/\(file)")
        } catch { throw failure("opening", file, error) }
    }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        if unlinkat(root.rawValue, file, 0) != 0 { throw failure("deleting", file, .current) }
    }

    /// Takes the lock file of this directory: exclusively for writing, shared for reading only. The lock is the open file's
    /// (flock(2)), so that it ends with the process however that ends. Nil if another process holds it; `holder` in the file
    /// says who. A reader does not create the file, and needs no lock where there is none.
    public func lock(_ file: String, exclusive: Bool) throws(Failure) -> OwnedDescriptor? {
        do {
            let descriptor = try OwnedDescriptor.open(file, at: root, exclusive ? O_RDWR | O_CREAT : O_RDONLY)
            return try descriptor.tryLock(exclusive: exclusive) ? descriptor : nil
        } catch { throw failure("locking", file, error) }
    }
}
