import Glibc
import Synchronization
public import Syscalls
import SystemPackage

/// A plain directory: each blob a file `3f12/de0f…` (the first four hexadecimal digits of its name, then the rest), so no
/// folder grows beyond 65,536 entries; the small files beside them. All calls are relative to the opened directory, which
/// may be renamed meanwhile.
///
/// Whoever else writes the directory can put anything there, so nothing below it is opened but as `DirectoryStorage+Opening.swift`
/// does: no link is followed, and only plain files are read and written.
public final class DirectoryStorage: BlobStorage {
    public let name: String
    public let isReadOnly: Bool
    public let overwritesInPlace: Bool
    let root: any StorageFolder
    private let folders = Mutex(Folders())

    /// What this process knows of the folders' own entries in the root.
    private struct Folders {
        /// Counts the folders that were made, or were about to be.
        var made: UInt64 = 0
        /// `made` when the root was synced last. Nil before: a folder that was found may have been made by a process that was killed.
        var synced: UInt64?

        var needSync: Bool { synced != made }
    }

    /// Opens an existing directory. Writing is tried only when `readOnly` is false.
    public init(path: String, readOnly: Bool) throws(Failure) {
        name = path
        isReadOnly = readOnly
        do {
            let directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            root = directory
            overwritesInPlace = directory.overwritesInPlace
        } catch {
            throw Failure(systemCall: "opening the data directory", object: path, error)
        }
    }

    /// Over system calls of another kind: a simulated disk.
    package init(name: String, root: any StorageFolder, readOnly: Bool) {
        self.name = name
        isReadOnly = readOnly
        self.root = root
        overwritesInPlace = true
    }

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let place = BlobPlace(id)
        // The folder may go again before it is used, with the last blob that another thread deletes in it.
        for _ in 0..<8 {
            do throws(Failure) {
                let file = try openPlainFile(
                    place.file, in: openFolder(place.folder), shownAs: place.path, O_RDWR | O_CREAT | O_EXCL, "creating")
                return FileBlob(file, name: "\(name)/\(place.path)")
            } catch  where error.kind == .missing { try makeFolder(place.folder) }
        }
        throw failure("creating", place.path, .noSuchFileOrDirectory)
    }

    /// Under the lock, so that who finds the folder also finds that its entry is not durable yet.
    private func makeFolder(_ folder: String) throws(Failure) {
        try folders.withLock { (folders) throws(Failure) in
            folders.made += 1
            do throws(Errno) { try root.makeFolder(folder) } catch {
                if error != .fileExists { throw failure("creating", folder, error) }
            }
        }
    }

    private func openBlobFile(_ id: BlobID, _ flags: CInt, _ call: String) throws(Failure) -> any StorageFile {
        let place = BlobPlace(id)
        return try openPlainFile(place.file, in: openFolder(place.folder), shownAs: place.path, flags, call)
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        FileBlob(try openBlobFile(id, O_RDONLY, "opening"), name: "\(name)/\(BlobPlace(id).path)")
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        let place = BlobPlace(id)
        let folder = try openFolder(place.folder)
        do { try folder.unlink(place.file) } catch { throw failure("deleting", place.path, error) }
        // The folder goes with its last blob; one that is not empty stays, which is no error. It may be made again at once by another
        // thread, so nothing is concluded from its going.
        try? root.removeFolder(place.folder)
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        let file = try openBlobFile(id, O_WRONLY, "truncating")
        do { try file.truncate(to: sizeBytes) } catch { throw failure("truncating", BlobPlace(id).path, error) }
    }

    public func syncBlob(_ id: BlobID) throws(Failure) {
        let file = try openBlobFile(id, O_RDONLY, "fdatasync")
        do { try file.syncData() } catch { throw failure("fdatasync", BlobPlace(id).path, error) }
    }

    public func syncNames(of ids: [BlobID]) throws(Failure) {
        for folder in Set(ids.map { BlobPlace($0).folder }) {
            let opened = try openFolder(folder)
            do { try opened.sync() } catch { throw failure("syncing", folder, error) }
        }
        let (made, needSync) = folders.withLock { ($0.made, $0.needSync) }
        if !needSync { return }
        do { try root.sync() } catch { throw failure("syncing", ".", error) }
        folders.withLock { $0.synced = max($0.synced ?? 0, made) }
    }

    /// Whether the next `syncNames` syncs the root.
    var needsRootSync: Bool { folders.withLock { $0.needSync } }

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for folder in try names() where BlobPlace.isFolder(folder) {
            for file in try names(in: openFolder(folder), shownAs: folder) {
                if let id = BlobPlace.blob(folder: folder, file: file) { try visit(id) }
            }
        }
    }

    /// The names in the directory itself, in no order.
    public func names() throws(Failure) -> [String] { try names(in: root, shownAs: ".") }

    private func names(in folder: any StorageFolder, shownAs shown: String) throws(Failure) -> [String] {
        do { return try folder.names() } catch { throw failure("listing", shown, error) }
    }

    /// Whether a folder of that name is for blobs.
    public static func isBlobFolder(_ name: String) -> Bool { BlobPlace.isFolder(name) }

    /// Deletes all blobs and the folders for blobs, also empty ones. Leaves files of other names, and the folders that they are in.
    public func deleteAllBlobs() throws(Failure) {
        for name in try names() where BlobPlace.isFolder(name) {
            let folder = try openFolder(name)
            for file in try names(in: folder, shownAs: name) where BlobPlace.blob(folder: name, file: file) != nil {
                do { try folder.unlink(file) } catch { throw failure("deleting", "\(name)/\(file)", error) }
            }
            try? root.removeFolder(name)
        }
    }

    public func capacity() throws(Failure) -> StorageCapacity {
        do { return try root.capacity() } catch { throw failure("statvfs", ".", error) }
    }
}
