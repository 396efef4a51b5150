public import Syscalls

/// Where a tree is written to, by its single steps: what `TreeRestorer` stands on. A directory, a volume, or later what a server has.
/// Used by one thread at a time. Failures need not name the path: the caller adds it.
public protocol TreeStore: AnyObject {
    associatedtype Directory
    associatedtype File

    /// The directory that the tree comes into; it is made if only its last name is missing.
    func destination() throws(Failure) -> Directory
    /// Removes the destination, which is empty, if `destination` has made it.
    func removeMadeDestination() throws(Failure)
    /// Does not follow symbolic links. `.missing` if there is none, or it is no directory.
    func openDirectory(_ name: [UInt8], in directory: Directory) throws(Failure) -> Directory
    /// For the owner alone until its attributes are set. `.alreadyExists`.
    func makeDirectory(_ name: [UInt8], in directory: Directory) throws(Failure) -> Directory
    /// An empty file, for the owner alone until it is finished. `.alreadyExists`.
    func makeFile(_ name: [UInt8], in directory: Directory) throws(Failure) -> File
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64, to file: File) throws(Failure)
    /// Gives the file the entry's size and attributes.
    func finish(_ file: File, as entry: ArchiveEntry) throws(Failure)
    /// A symbolic link, device or FIFO, with its attributes. `.alreadyExists`.
    func makeNode(_ name: [UInt8], in directory: Directory, as entry: ArchiveEntry) throws(Failure)
    /// Another name for what is no directory. `.alreadyExists`.
    func link(_ name: [UInt8], in directory: Directory, to newName: [UInt8], in newDirectory: Directory) throws(Failure)
    func setAttributes(of directory: Directory, to entry: ArchiveEntry) throws(Failure)
    /// Permissions and times, so that they can be set again after changes in the directory.
    func attributes(of directory: Directory) throws(Failure) -> ArchiveEntry
    /// Up to `limit` names in it, but "." and "..", in any order.
    func names(in directory: Directory, limit: Int) throws(Failure) -> [[UInt8]]
    /// `.alreadyExists` if the new name is taken; nothing is replaced.
    func move(_ name: [UInt8], in directory: Directory, to newName: [UInt8], in newDirectory: Directory) throws(Failure)
    /// Removes a name of anything but a directory. `.missing`; `.notEmpty` for a directory.
    func unlink(_ name: [UInt8], in directory: Directory) throws(Failure)
    /// Removes an empty directory.
    func removeDirectory(_ name: [UInt8], in directory: Directory) throws(Failure)
    /// Whether a name is taken.
    func contains(_ name: [UInt8], in directory: Directory) throws(Failure) -> Bool
}
