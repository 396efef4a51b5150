import Glibc
import Syscalls
import SystemPackage

/// Opening what lies in a directory that somebody else may write: a link in a file's place would let him have any file of this user
/// overwritten or cut, a FIFO or a device would hang the process.
extension DirectoryStorage {
    func failure(_ call: String, _ object: String, _ error: Errno) -> Failure {
        Failure(systemCall: call, object: "\(name)/\(object)", error)
    }

    /// openat(2) of a plain file. `path` is what messages call it, `call` what was to be done with it.
    ///
    /// Fails with `.missing`, and with `.damaged` for anything but a plain file; to be written in place the file must have no other name.
    func openPlainFile(
        _ file: String, in folder: any StorageFolder, shownAs path: String, _ flags: CInt, _ call: String
    ) throws(Failure) -> any StorageFile {
        let opened: any StorageFile
        let facts: StorageFileFacts
        do throws(Errno) {
            opened = try folder.openFile(file, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            facts = try opened.facts()
        } catch {
            switch error {
            // A link; a directory that is to be written; a FIFO nobody reads, a socket, or a device that is not there.
            case .tooManySymbolicLinkLevels, .isDirectory, .noSuchAddressOrDevice: throw notPlain(path)
            default: throw failure(call, path, error)
            }
        }
        guard facts.isPlain else { throw notPlain(path) }
        let isWritten = flags & O_ACCMODE != O_RDONLY
        guard !isWritten || facts.linkCount <= 1 else {
            throw Failure(
                .damaged, "has another name too (a hard link), so it is not written", object: "\(name)/\(path)",
                hint: "put a copy of the file in its place")
        }
        return opened
    }

    /// A folder for blobs. Fails with `.missing`, and with `.damaged` for anything but a directory.
    func openFolder(_ folder: String) throws(Failure) -> any StorageFolder {
        do { return try root.openFolder(folder) } catch {
            switch error {
            case .tooManySymbolicLinkLevels, .notDirectory:
                throw Failure(
                    .damaged, "is no folder, or a link to one", object: "\(name)/\(folder)",
                    hint: "restore the data directory from a backup")
            default: throw failure("opening", folder, error)
            }
        }
    }

    private func notPlain(_ path: String) -> Failure {
        Failure(
            .damaged, "is no plain file, or a link to one", object: "\(name)/\(path)", hint: "remove it, or restore it from a backup")
    }
}
