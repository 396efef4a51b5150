import CSyscalls
import FileSystem
import Glibc
public import Syscalls
import SystemPackage

/// Restores into a directory of this machine. Owners are restored only by root, as tar does. What the user or the file system
/// cannot have (devices, attributes) is reported and left out.
public final class DirectoryStore: TreeStore {
    public typealias Directory = OwnedDescriptor
    public typealias File = OwnedDescriptor

    private let path: String
    private let report: (String) -> Void
    private var wasMade = false

    /// - Parameter path: a directory; its last name may be missing.
    public init(_ path: String, report: @escaping (String) -> Void) {
        self.path = path
        self.report = report
    }

    public func destination() throws(Failure) -> OwnedDescriptor {
        do throws(Errno) {
            if mkdir(path, 0o755) == 0 { wasMade = true } else if errno != EEXIST { throw Errno.current }
            return try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        } catch { throw Failure(systemCall: "opening the directory", object: path, error) }
    }

    public func removeMadeDestination() throws(Failure) {
        if wasMade { _ = try call("removing", path) { () throws(Errno) in try retrying { rmdir(path) } } }
        wasMade = false
    }

    public func openDirectory(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) -> OwnedDescriptor {
        do throws(Errno) { return try LocalNode.open(name, in: directory, O_RDONLY | O_DIRECTORY) } catch {
            var failure = TreeFailure.of("opening the directory", nil, error)
            // A symbolic link in its place is none.
            if error == .tooManySymbolicLinkLevels || error == .notDirectory { failure.kind = .missing }
            throw failure
        }
    }

    public func makeDirectory(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) -> OwnedDescriptor {
        _ = try at(name, "making the directory") { mkdirat(directory.rawValue, $0, 0o700) }
        return try openDirectory(name, in: directory)
    }

    public func makeFile(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) -> OwnedDescriptor {
        try call("making the file", nil) { () throws(Errno) in try LocalNode.open(name, in: directory, O_WRONLY | O_CREAT | O_EXCL) }
    }

    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64, to file: OwnedDescriptor) throws(Failure) {
        try call("writing", nil) { () throws(Errno) in try file.write(bytes, at: offset) }
    }

    public func finish(_ file: OwnedDescriptor, as entry: ArchiveEntry) throws(Failure) {
        guard case .regular(let size, _) = entry.kind else { preconditionFailure("a regular file") }
        try call("writing", nil) { () throws(Errno) in try file.truncate(to: size) }
        try apply(entry, to: LocalNode(descriptor: file, name: nil))
    }

    public func makeNode(_ name: [UInt8], in directory: OwnedDescriptor, as entry: ArchiveEntry) throws(Failure) {
        switch entry.kind {
        case .symbolicLink(let target):
            _ = try LocalNode.withCString(target) { (target) throws(Failure) in
                try at(name, "making the symbolic link") { symlinkat(target, directory.rawValue, $0) }
            }
        case .fifo: _ = try at(name, "making the FIFO") { mkfifoat(directory.rawValue, $0, 0o600) }
        case .characterDevice(let major, let minor), .blockDevice(let major, let minor):
            var isCharacter = false
            if case .characterDevice = entry.kind { isCharacter = true }
            let number = dev_t(efs_make_device(major, minor))
            do throws(Failure) {
                _ = try at(name, "making the device") { mknodat(directory.rawValue, $0, (isCharacter ? S_IFCHR : S_IFBLK) | 0o600, number) }
            } catch {
                guard error.cause == .notPermitted else { throw error }
                report("\(ArchiveEntry.display(entry.path)): left out: only root can make a device")
                return
            }
        case .regular, .directory, .hardLink: preconditionFailure("a symbolic link, device or FIFO")
        }
        try apply(entry, to: LocalNode(descriptor: directory, name: name))
    }

    public func link(
        _ name: [UInt8], in directory: OwnedDescriptor, to newName: [UInt8], in newDirectory: OwnedDescriptor
    ) throws(Failure) {
        _ = try LocalNode.withCString(name) { (name) throws(Failure) in
            try at(newName, "linking") { linkat(directory.rawValue, name, newDirectory.rawValue, $0, 0) }
        }
    }

    public func setAttributes(of directory: OwnedDescriptor, to entry: ArchiveEntry) throws(Failure) {
        try apply(entry, to: LocalNode(descriptor: directory, name: nil))
    }

    /// Owner and permissions first: extended attributes hold rights that a change of the owner would take away.
    private func apply(_ entry: ArchiveEntry, to node: LocalNode) throws(Failure) {
        try call("setting the owner and permissions", nil) { () throws(Errno) in try node.setOwner(entry) }
        for attribute in entry.extendedAttributes {
            do throws(Errno) { try node.setExtendedAttribute(attribute) } catch {
                guard error == .notSupported || error == .notPermitted || error == .permissionDenied else {
                    throw TreeFailure.of("setting an extended attribute", nil, error)
                }
                report(
                    "\(ArchiveEntry.display(entry.path)): left out: the extended attribute \(ArchiveEntry.display(attribute.name)) cannot be set here"
                )
            }
        }
        try call("setting the times", nil) { () throws(Errno) in try node.setTimes(entry) }
    }

    public func attributes(of directory: OwnedDescriptor) throws(Failure) -> ArchiveEntry {
        let status = try call("reading the attributes", nil) { () throws(Errno) in try directory.status() }
        var entry = ArchiveEntry(path: [], kind: .directory)
        entry.permissions = UInt32(status.st_mode) & Mode.permissionMask
        entry.uid = status.st_uid
        entry.gid = status.st_gid
        entry.modificationTime = Timestamp(status.st_mtim)
        entry.accessTime = Timestamp(status.st_atim)
        return entry
    }

    public func names(in directory: OwnedDescriptor, limit: Int) throws(Failure) -> [[UInt8]] {
        try call("listing", nil) { () throws(Errno) in
            let listing = try LocalListing(directory)
            var names: [[UInt8]] = []
            while names.count < limit, let name = try listing.next() { names.append(name) }
            return names
        }
    }

    public func move(
        _ name: [UInt8], in directory: OwnedDescriptor, to newName: [UInt8], in newDirectory: OwnedDescriptor
    ) throws(Failure) {
        _ = try LocalNode.withCString(name) { (name) throws(Failure) in
            try at(newName, "moving it into place") { efs_rename_no_replace(directory.rawValue, name, newDirectory.rawValue, $0) }
        }
    }

    public func unlink(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) {
        _ = try at(name, "removing") { unlinkat(directory.rawValue, $0, 0) }
    }

    public func removeDirectory(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) {
        _ = try at(name, "removing") { unlinkat(directory.rawValue, $0, AT_REMOVEDIR) }
    }

    public func contains(_ name: [UInt8], in directory: OwnedDescriptor) throws(Failure) -> Bool {
        do throws(Errno) {
            _ = try LocalNode(descriptor: directory, name: name).status()
            return true
        } catch {
            if error == .noSuchFileOrDirectory { return false }
            throw TreeFailure.of("looking up", ArchiveEntry.display(name), error)
        }
    }

    private func at(_ name: [UInt8], _ what: String, _ body: (UnsafePointer<CChar>) -> CInt) throws(Failure) -> CInt {
        try call(what, nil) { () throws(Errno) in
            try LocalNode.withCString(name) { (name) throws(Errno) in try retrying { body(name) } }
        }
    }

    private func call<R>(_ what: String, _ object: String?, _ body: () throws(Errno) -> R) throws(Failure) -> R {
        do throws(Errno) { return try body() } catch { throw TreeFailure.of(what, object, error) }
    }
}
