import FileSystem
import Glibc
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// What has to be told to a mount of the same volume, in this process, of changes behind its back.
protocol ChangeObserver: Sendable {
    /// The name in the directory means something else now, or nothing.
    func entryChanged(_ directory: InodeID, _ name: [UInt8])
    /// Attributes of the inode changed.
    func attributesChanged(_ inode: InodeID)
}

/// A file system that is served: an open volume, by path. Synchronous: called on engine threads only. Thread-safe.
final class ServedFileSystem: Sendable {
    let name: String
    let volume: Volume
    /// The key of the path pseudonyms in the audit log.
    let filenameSalt: SecretBytes
    let usage: UsageLedger
    private let quota: Mutex<UInt64?>
    /// Distinguishes volumes in the decrypted cache.
    let cacheNumber: UInt64
    /// What is being uploaded in parts.
    var uploads: UploadStore { UploadStore(fileSystem: self) }
    /// Uploads that a request writes.
    let heldUploads = Mutex<Set<String>>([])
    private let observer = Mutex<(any ChangeObserver)?>(nil)
    private let caller = Caller(uid: geteuid(), gid: getegid())

    private static let lastCacheNumber = Atomic<UInt64>(0)

    init(name: String, volume: Volume, filenameSalt: SecretBytes, quotaBytes: UInt64?, usage: UsageLedger) {
        self.name = name
        self.volume = volume
        self.filenameSalt = filenameSalt
        quota = Mutex(quotaBytes)
        self.usage = usage
        cacheNumber = Self.lastCacheNumber.wrappingAdd(1, ordering: .relaxed).newValue
    }

    var files: FileSystem { volume.fileSystem }

    /// The most bytes that its files may have together; nil for any number.
    var quotaBytes: UInt64? { quota.withLock { $0 } }

    func setQuota(_ bytes: UInt64?) { quota.withLock { $0 = bytes } }

    func setObserver(_ new: (any ChangeObserver)?) { observer.withLock { $0 = new } }

    func entryChanged(_ directory: InodeID, _ name: [UInt8]) { observer.withLock { $0 }?.entryChanged(directory, name) }

    func attributesChanged(_ inode: InodeID) { observer.withLock { $0 }?.attributesChanged(inode) }

    /// Calls the engine; what it throws becomes a problem.
    func engine<R>(_ body: (FileSystem) throws(Errno) -> R) throws(Problem) -> R {
        do throws(Errno) { return try body(files) } catch { throw Problem(error) }
    }
}

// MARK: Paths
extension ServedFileSystem {
    /// The attributes of what is at the path; with `retaining`, it stays until `release`.
    func find(_ path: RequestPath, retaining: Bool = false) throws(Problem) -> Attributes {
        if path.isReserved { throw .notFound }
        return try engine { (files) throws(Errno) in try find(path.components[...], in: files, retaining: retaining) }
    }

    func release(_ inode: InodeID) { files.forget(inode, count: 1) }

    func find(_ components: ArraySlice<[UInt8]>, in files: FileSystem, retaining: Bool) throws(Errno) -> Attributes {
        guard let last = components.last else {
            if retaining { try files.retain(.root) }
            return try files.attributes(.root)
        }
        var directory = InodeID.root
        for component in components.dropLast() {
            let found = try component.withBytes { (name) throws(Errno) in try files.lookup(directory, name, retaining: false) }
            guard found.type == .directory else { throw .notDirectory }
            directory = found.inode
        }
        return try last.withBytes { (name) throws(Errno) in try files.lookup(directory, name, retaining: retaining) }
    }

    /// The directory of those components, made with all above it where it is not there.
    func makeDirectories(_ components: ArraySlice<[UInt8]>) throws(Problem) -> (inode: InodeID, isNew: Bool) {
        try engine { (files) throws(Errno) in
            var directory = InodeID.root
            var isNew = false
            for component in components {
                let step = try enter(component, of: directory, files)
                directory = step.inode
                isNew = step.isNew
            }
            return (directory, isNew)
        }
    }

    private func enter(_ name: [UInt8], of directory: InodeID, _ files: FileSystem) throws(Errno) -> (inode: InodeID, isNew: Bool) {
        var mustExist = false
        while true {
            do throws(Errno) {
                let found = try name.withBytes { (name) throws(Errno) in try files.lookup(directory, name, retaining: false) }
                guard found.type == .directory else { throw .notDirectory }
                return (found.inode, false)
            } catch {
                guard error == .noSuchFileOrDirectory, !mustExist else { throw error }
            }
            do throws(Errno) {
                let made = try name.withBytes { (name) throws(Errno) in
                    try files.makeDirectory(directory, name, mode: 0o755, caller: caller, retaining: false)
                }
                entryChanged(directory, name)
                return (made.inode, true)
            } catch {
                // Another request made it first.
                guard error == .fileExists else { throw error }
                mustExist = true
            }
        }
    }
}

// MARK: Writing
extension ServedFileSystem {
    /// A file without a name in the directory's place; `discard` it, or `publish` it. Its group says who wrote it.
    func makeUnnamed(_ directory: InodeID, mode: UInt32, group: UInt32) throws(Problem) -> InodeID {
        try engine { (files) throws(Errno) in
            let made = try files.makeUnnamed(directory, mode: mode, caller: Caller(uid: caller.uid, gid: group))
            if made.gid != group {
                // A directory whose set-group-ID bit was set through a mount.
                var changes = AttributeChanges()
                changes.gid = group
                do throws(Errno) { _ = try files.setAttributes(made.inode, changes) } catch {
                    files.forget(made.inode, count: 1)
                    throw error
                }
            }
            return made.inode
        }
    }

    func write(_ inode: InodeID, at offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(Problem) {
        try engine { (files) throws(Errno) in try files.write(inode, at: offset, from: bytes) }
    }

    /// Lets go of an unnamed file: nothing is left of it if it was not published.
    func discard(_ inode: InodeID) { files.forget(inode, count: 1) }

    struct Published: Sendable {
        var attributes: Attributes
        var isNew: Bool
    }

    /// Gives the unnamed file the path's name, replacing what has it, if `allows` agrees to that; returns when it is on stable storage.
    /// - Parameter keepsMode: takes over the permissions of a file that is replaced.
    func publish(
        _ inode: InodeID, as name: [UInt8], in directory: InodeID, modified: Timestamp?, keepsMode: Bool,
        if allows: (Attributes?) -> Problem?
    ) throws(Problem) -> Published {
        var refusal: Problem?
        var changes = AttributeChanges()
        if keepsMode { changes.mode = (try? engine { (files) throws(Errno) in try permissions(of: name, in: directory, files) }) ?? nil }
        changes.modificationTime = modified.map { .at($0) }
        let placement = try engine { (files) throws(Errno) in
            if !changes.isEmpty { _ = try files.setAttributes(inode, changes) }
            return try name.withBytes { (name) throws(Errno) in
                try files.place(inode, directory, name) { existing in
                    refusal = allows(existing)
                    return refusal == nil
                }
            }
        }
        guard let placement else { throw refusal ?? .preconditionFailed }
        entryChanged(directory, name)
        try engine { (files) throws(Errno) in try files.synchronize(inode, dataOnly: false) }
        return Published(attributes: placement.attributes, isNew: placement.replaced == nil)
    }

    /// Of the regular file that has the name now; nil if it has the usual ones, or is none.
    private func permissions(of name: [UInt8], in directory: InodeID, _ files: FileSystem) throws(Errno) -> UInt32? {
        let existing = try name.withBytes { (name) throws(Errno) in try files.lookup(directory, name, retaining: false) }
        return existing.type == .regular && existing.permissions != 0o644 ? existing.permissions : nil
    }

    /// Returns when every change until now is on stable storage.
    func synchronize() throws(Problem) { try engine { (files) throws(Errno) in try files.synchronizeAll() } }
}
