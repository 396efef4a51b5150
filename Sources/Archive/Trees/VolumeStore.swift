public import FileSystem
public import Syscalls
import SystemPackage

/// Restores into a directory of a volume. Its owner makes it durable afterwards (`Volume.sync`, `close`).
public final class VolumeStore: TreeStore {
    public typealias Directory = InodeID
    public typealias File = InodeID

    private static let owner = Caller(uid: 0, gid: 0)

    private let fileSystem: FileSystem
    private let path: String
    private var madeIn: (parent: InodeID, name: [UInt8])?

    /// - Parameter path: a directory of the volume; its last name may be missing.
    public init(_ fileSystem: FileSystem, path: String = "/") {
        self.fileSystem = fileSystem
        self.path = path
    }

    public func destination() throws(Failure) -> InodeID {
        var names = try VolumePath.names(path)
        guard let last = names.popLast() else { return .root }
        var parent = InodeID.root
        for name in names { parent = try VolumePath.child(name, of: parent, in: fileSystem, path) }
        do throws(Failure) { return try VolumePath.child(last, of: parent, in: fileSystem, path) } catch {
            guard error.kind == .missing, error.cause == nil else { throw error }
        }
        let made = try call("making the directory") { () throws(Errno) in
            try last.withBytes { (name) throws(Errno) in
                try fileSystem.makeDirectory(parent, name, mode: 0o755, caller: Self.owner, retaining: false).inode
            }
        }
        madeIn = (parent, last)
        return made
    }

    public func removeMadeDestination() throws(Failure) {
        guard let made = madeIn else { return }
        try removeDirectory(made.name, in: made.parent)
        madeIn = nil
    }

    public func openDirectory(_ name: [UInt8], in directory: InodeID) throws(Failure) -> InodeID {
        try VolumePath.child(name, of: directory, in: fileSystem, ArchiveEntry.display(name))
    }

    public func makeDirectory(_ name: [UInt8], in directory: InodeID) throws(Failure) -> InodeID {
        try naming(name, "making the directory") { (name) throws(Errno) in
            try fileSystem.makeDirectory(directory, name, mode: 0o700, caller: Self.owner, retaining: false).inode
        }
    }

    public func makeFile(_ name: [UInt8], in directory: InodeID) throws(Failure) -> InodeID {
        try naming(name, "making the file") { (name) throws(Errno) in
            try fileSystem.makeNode(directory, name, mode: 0o600, caller: Self.owner, retaining: false).inode
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64, to file: InodeID) throws(Failure) {
        try call("writing") { () throws(Errno) in try fileSystem.write(file, at: offset, from: bytes) }
    }

    public func finish(_ file: InodeID, as entry: ArchiveEntry) throws(Failure) {
        guard case .regular(let size, _) = entry.kind else { preconditionFailure("a regular file") }
        try apply(entry, to: file, sizeBytes: size)
    }

    public func makeNode(_ name: [UInt8], in directory: InodeID, as entry: ArchiveEntry) throws(Failure) {
        let inode = try naming(name, "making it") { (name) throws(Errno) in
            switch entry.kind {
            case .symbolicLink(let target):
                return try target.withBytes { (target) throws(Errno) in
                    try fileSystem.makeSymbolicLink(directory, name, target: target, caller: Self.owner, retaining: false).inode
                }
            case .characterDevice(let major, let minor):
                return try make(directory, name, .characterDevice, DeviceNumber(major: major, minor: minor))
            case .blockDevice(let major, let minor):
                return try make(directory, name, .blockDevice, DeviceNumber(major: major, minor: minor))
            case .fifo: return try make(directory, name, .fifo, DeviceNumber(0))
            case .regular, .directory, .hardLink: preconditionFailure("a symbolic link, device or FIFO")
            }
        }
        try apply(entry, to: inode, sizeBytes: nil)
    }

    private func make(
        _ directory: InodeID, _ name: UnsafeRawBufferPointer, _ type: InodeType, _ number: DeviceNumber
    ) throws(Errno) -> InodeID {
        try fileSystem.makeNode(
            directory, name, mode: type.modeBits | 0o600, deviceNumber: number.packed, caller: Self.owner, retaining: false
        ).inode
    }

    public func link(_ name: [UInt8], in directory: InodeID, to newName: [UInt8], in newDirectory: InodeID) throws(Failure) {
        let inode = try naming(name, "looking up") { (name) throws(Errno) in
            try fileSystem.lookup(directory, name, retaining: false).inode
        }
        _ = try naming(newName, "linking") { (name) throws(Errno) in try fileSystem.link(inode, newDirectory, name, retaining: false) }
    }

    public func setAttributes(of directory: InodeID, to entry: ArchiveEntry) throws(Failure) {
        try apply(entry, to: directory, sizeBytes: nil)
    }

    /// Owner, permissions and times first: extended attributes hold rights that a change of the owner would take away.
    private func apply(_ entry: ArchiveEntry, to inode: InodeID, sizeBytes: UInt64?) throws(Failure) {
        var changes = AttributeChanges()
        changes.sizeBytes = sizeBytes
        changes.uid = entry.uid
        changes.gid = entry.gid
        if case .symbolicLink = entry.kind {} else { changes.mode = entry.permissions }
        changes.modificationTime = entry.modificationTime.map { .at($0) }
        changes.accessTime = entry.accessTime.map { .at($0) }
        try call("setting the attributes") { () throws(Errno) in _ = try fileSystem.setAttributes(inode, changes) }
        for attribute in entry.extendedAttributes {
            try naming(attribute.name, "setting the extended attribute") { (name) throws(Errno) in
                try attribute.value.withBytes { (value) throws(Errno) in
                    try fileSystem.setExtendedAttribute(inode, name, value: value, mode: .createOrReplace)
                }
            }
        }
    }

    public func attributes(of directory: InodeID) throws(Failure) -> ArchiveEntry {
        let found = try call("reading the attributes") { () throws(Errno) in try fileSystem.attributes(directory) }
        var entry = ArchiveEntry(path: [], kind: .directory)
        entry.permissions = found.permissions
        entry.uid = found.uid
        entry.gid = found.gid
        entry.modificationTime = found.modificationTime
        entry.accessTime = found.accessTime
        return entry
    }

    public func names(in directory: InodeID, limit: Int) throws(Failure) -> [[UInt8]] {
        var names: [[UInt8]] = []
        try call("listing") { () throws(Errno) in
            try fileSystem.listDirectory(directory, after: 0, withAttributes: false, retaining: false) { entry in
                if VolumePath.isDots(entry.name) { return true }
                if names.count == limit { return false }
                names.append([UInt8](entry.name))
                return true
            }
        }
        return names
    }

    public func move(_ name: [UInt8], in directory: InodeID, to newName: [UInt8], in newDirectory: InodeID) throws(Failure) {
        try naming(name, "moving it into place") { (name) throws(Errno) in
            try newName.withBytes { (newName) throws(Errno) in
                try fileSystem.rename(directory, name, to: newDirectory, newName, flags: .noReplace)
            }
        }
    }

    public func unlink(_ name: [UInt8], in directory: InodeID) throws(Failure) {
        try naming(name, "removing") { (name) throws(Errno) in try fileSystem.unlink(directory, name) }
    }

    public func removeDirectory(_ name: [UInt8], in directory: InodeID) throws(Failure) {
        try naming(name, "removing") { (name) throws(Errno) in try fileSystem.removeDirectory(directory, name) }
    }

    public func contains(_ name: [UInt8], in directory: InodeID) throws(Failure) -> Bool {
        do throws(Errno) {
            _ = try name.withBytes { (name) throws(Errno) in try fileSystem.lookup(directory, name, retaining: false) }
            return true
        } catch {
            if error == .noSuchFileOrDirectory { return false }
            throw Failure(systemCall: "looking up", object: ArchiveEntry.display(name), error)
        }
    }

    private func naming<R>(
        _ name: [UInt8], _ what: String, _ body: (UnsafeRawBufferPointer) throws(Errno) -> R
    ) throws(Failure) -> R {
        do throws(Errno) { return try name.withBytes(body) } catch { throw TreeFailure.of(what, ArchiveEntry.display(name), error) }
    }

    private func call<R>(_ what: String, _ body: () throws(Errno) -> R) throws(Failure) -> R {
        do throws(Errno) { return try body() } catch { throw TreeFailure.of(what, nil, error) }
    }
}
