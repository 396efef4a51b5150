import Glibc
public import Syscalls
import SystemPackage

extension DirectoryStorage {
    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        // One byte more than the limit tells a file that is too large, whatever its size claims.
        var bytes = [UInt8](repeating: 0, count: limitBytes + 1)
        guard let descriptor = try openSmallFile(file, O_RDONLY, "reading") else { return nil }
        let count: Int
        do { count = try bytes.withMutableBytes { (buffer) throws(Errno) in try descriptor.read(at: 0, into: buffer) } } catch {
            throw failure("reading", file, error)
        }
        guard count <= limitBytes else { throw Failure(.damaged, "is larger than \(limitBytes) bytes", object: "\(name)/\(file)") }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Nil if there is no such file.
    private func openSmallFile(_ file: String, _ flags: CInt, _ call: String) throws(Failure) -> (any StorageFile)? {
        do throws(Failure) { return try openPlainFile(file, in: root, shownAs: file, flags, call) } catch  where error.kind == .missing {
            return nil
        }
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) {
        // A name that nobody can have put something under, and that no other process uses.
        let aside = "\(file)\(Self.asideSuffix).\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        let descriptor = try openPlainFile(aside, in: root, shownAs: aside, O_WRONLY | O_CREAT | O_EXCL, "writing")
        do throws(Errno) {
            try bytes.withBytes { (buffer) throws(Errno) in try descriptor.write(buffer, at: 0) }
            try descriptor.sync()
            try root.rename(aside, to: file)
            try root.sync()
        } catch {
            try? root.unlink(aside)
            throw failure("writing", file, error)
        }
    }

    /// What the names of files begin with that `replaceSmallFile` writes aside.
    public static let asideSuffix = ".new"

    /// Deletes what processes that were killed left of `replaceSmallFile`. The caller sees to it that none is under way.
    public func deleteAside(of file: String) throws(Failure) {
        for name in try names() where name.hasPrefix(file + Self.asideSuffix) {
            do throws(Errno) { try root.unlink(name) } catch {
                if error != .noSuchFileOrDirectory { throw failure("deleting", name, error) }
            }
        }
    }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        let descriptor = try openPlainFile(file, in: root, shownAs: file, O_RDWR | O_CREAT, "opening")
        do { try root.sync() } catch { throw failure("opening", file, error) }
        return FileBlob(descriptor, name: "\(name)/\(file)")
    }

    /// Gives a file that has been synced its name, atomically and durably. Whatever had that name before is gone.
    public func renameSmallFile(_ file: String, to new: String) throws(Failure) {
        do throws(Errno) {
            try root.rename(file, to: new)
            try root.sync()
        } catch { throw failure("renaming", file, error) }
    }

    /// Makes durable what was made, renamed and deleted in the directory itself.
    public func syncDirectory() throws(Failure) { do { try root.sync() } catch { throw failure("syncing", ".", error) } }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        do { try root.unlink(file) } catch { throw failure("deleting", file, error) }
    }
}

// MARK: - Locks

extension DirectoryStorage {
    /// Takes the lock file of this directory: exclusively for writing, shared for reading only. The lock is the open file's
    /// (flock(2)), so that it ends with the process however that ends. Nil if another process holds it; what is in the file
    /// says who. A reader does not create the file, and needs no lock where there is none.
    package func lock(_ file: String, exclusive: Bool) throws(Failure) -> (any StorageFile)? {
        while true {
            let descriptor = try openPlainFile(file, in: root, shownAs: file, exclusive ? O_RDWR | O_CREAT : O_RDONLY, "locking")
            do throws(Errno) {
                guard try descriptor.tryLock(exclusive: exclusive) else { return nil }
                if try isNamed(file, descriptor) { return descriptor }
            } catch { throw failure("locking", file, error) }
        }
    }

    /// Waits until nobody else replaces a small file, and keeps others from it as long as the descriptor lives. Nil if there is none.
    ///
    /// The lock is on the file that is to be replaced, which works while the volume is open and leaves nothing behind. Who waited for one
    /// that was replaced meanwhile waits for the new one.
    package func lockForReplacing(_ file: String) throws(Failure) -> (any StorageFile)? {
        while let descriptor = try openSmallFile(file, O_RDONLY, "locking") {
            do throws(Errno) {
                try descriptor.lockWaiting()
                if try isNamed(file, descriptor) { return descriptor }
            } catch { throw failure("locking", file, error) }
        }
        return nil
    }

    /// Whether the name still leads to the open file.
    private func isNamed(_ file: String, _ opened: any StorageFile) throws(Errno) -> Bool {
        try root.facts(of: file)?.identity == opened.facts().identity
    }
}
