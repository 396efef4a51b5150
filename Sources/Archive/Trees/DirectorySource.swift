import CSyscalls
import FileSystem
import Glibc
public import Syscalls
import SystemPackage

/// The tree below a directory of this machine. What changes while it is read is reported, and archived as it was found.
public final class DirectorySource: TreeSource {
    private struct FileID: Hashable {
        var device: UInt64
        var inode: UInt64

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }
    }

    /// A directory whose entries are being given.
    private struct Level {
        var descriptor: OwnedDescriptor
        var listing: LocalListing
        var path: [UInt8]
    }

    private let directory: String
    private let exclusions: TreeExclusions
    private let report: (String) -> Void
    private var root: OwnedDescriptor?
    private var levels: [Level] = []
    private var links = HardLinks<FileID>()
    private var current: (file: OwnedDescriptor, path: [UInt8])?
    /// A file that is left out without a word: the archive itself, if it is made within the tree.
    private var own: FileID?

    /// - Parameter report: told in one line of each thing that is left out: what a tar archive cannot hold.
    public init(
        _ directory: String, exclusions: TreeExclusions = TreeExclusions(), report: @escaping (String) -> Void
    ) throws(Failure) {
        self.directory = directory
        self.exclusions = exclusions
        self.report = report
        do throws(Errno) { root = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY) } catch {
            throw Failure(systemCall: "opening the directory", object: directory, error)
        }
    }

    /// Leaves the open file out.
    public func leaveOut(_ file: OwnedDescriptor) { own = (try? file.status()).map { FileID($0) } }

    public func next() throws(Failure) -> ArchiveEntry? {
        current = nil
        if let root {
            self.root = nil
            return try naming([]) { () throws(Errno) in try enter(root, []) }
        }
        while let level = levels.last {
            guard let name = try naming(level.path, { () throws(Errno) in try level.listing.next() }) else {
                levels.removeLast()
                continue
            }
            let path = TreePath.appending(name, to: level.path)
            if exclusions.contain(path) { continue }
            do throws(Errno) {
                if let entry = try give(name, level, path) { return entry }
            } catch {
                // Between the listing and now: then it is not part of the tree.
                if error == .noSuchFileOrDirectory { continue }
                throw failure(path, error)
            }
        }
        return nil
    }

    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let current else { preconditionFailure("a regular file was given") }
        return try naming(current.path) { () throws(Errno) in try current.file.read(at: offset, into: buffer) }
    }

    private func enter(_ descriptor: OwnedDescriptor, _ path: [UInt8]) throws(Errno) -> ArchiveEntry {
        let entry = try entry(path, .directory, LocalNode(descriptor: descriptor, name: nil))
        levels.append(Level(descriptor: descriptor, listing: try LocalListing(descriptor), path: path))
        return entry
    }

    private func give(_ name: [UInt8], _ level: Level, _ path: [UInt8]) throws(Errno) -> ArchiveEntry? {
        let node = LocalNode(descriptor: level.descriptor, name: name)
        let status = try node.status()
        if own == FileID(status) { return nil }
        switch mode_t(status.st_mode) & S_IFMT {
        case S_IFDIR: return try enter(try LocalNode.open(name, in: level.descriptor, O_RDONLY | O_DIRECTORY), path)
        case S_IFSOCK:
            report("\(ArchiveEntry.display(path)): left out: a tar archive cannot hold a socket")
            return nil
        default: break
        }
        if let earlier = links.earlierPath(of: FileID(status), linkCount: UInt64(status.st_nlink), as: path) {
            return try entry(path, .hardLink(path: earlier), node)
        }
        let major = efs_device_major(UInt64(status.st_rdev))
        let minor = efs_device_minor(UInt64(status.st_rdev))
        switch mode_t(status.st_mode) & S_IFMT {
        case S_IFREG: return try openFile(name, level, path)
        case S_IFLNK: return try entry(path, .symbolicLink(target: try target(name, level.descriptor)), node)
        case S_IFCHR: return try entry(path, .characterDevice(major: major, minor: minor), node)
        case S_IFBLK: return try entry(path, .blockDevice(major: major, minor: minor), node)
        default: return try entry(path, .fifo, node)
        }
    }

    private func openFile(_ name: [UInt8], _ level: Level, _ path: [UInt8]) throws(Errno) -> ArchiveEntry {
        // O_NONBLOCK: should a FIFO have taken its place, opening must not wait for a writer.
        let file = try LocalNode.open(name, in: level.descriptor, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        let size = UInt64(max(0, try file.status().st_size))
        var failed: Errno?
        let ranges = try? SparseMap.ranges(sizeBytes: size) { (offset, target) throws(Failure) in
            let found = target == .data ? efs_seek_data(file.rawValue, Int64(offset)) : efs_seek_hole(file.rawValue, Int64(offset))
            if found >= 0 { return UInt64(found) }
            if errno != ENXIO { failed = Errno.current }
            return nil
        }
        // A file system without holes says so; then all is data.
        current = (file, path)
        return try entry(
            path, .regular(sizeBytes: size, dataRanges: failed == nil ? ranges ?? nil : nil), LocalNode(descriptor: file, name: nil))
    }

    private func entry(_ path: [UInt8], _ kind: ArchiveEntry.Kind, _ node: LocalNode) throws(Errno) -> ArchiveEntry {
        let status = try node.status()
        var entry = ArchiveEntry(path: path, kind: kind)
        entry.permissions = UInt32(status.st_mode) & Mode.permissionMask
        entry.uid = status.st_uid
        entry.gid = status.st_gid
        entry.modificationTime = Timestamp(status.st_mtim)
        entry.accessTime = Timestamp(status.st_atim)
        if case .hardLink = kind { return entry }
        entry.extendedAttributes = try node.extendedAttributes()
        return entry
    }

    private func target(_ name: [UInt8], _ directory: OwnedDescriptor) throws(Errno) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 4097)
        let count = try LocalNode.withCString(name) { (name) throws(Errno) in
            try target.withMutableBytes { (buffer) throws(Errno) in
                let bytes = buffer.assumingMemoryBound(to: CChar.self)
                return try retryingCount { readlinkat(directory.rawValue, name, bytes.baseAddress!, bytes.count) }
            }
        }
        return Array(target.prefix(count))
    }

    private func naming<R>(_ path: [UInt8], _ body: () throws(Errno) -> R) throws(Failure) -> R {
        do throws(Errno) { return try body() } catch { throw failure(path, error) }
    }

    private func failure(_ path: [UInt8], _ errno: Errno) -> Failure {
        Failure(systemCall: "reading", object: path.isEmpty ? directory : "\(directory)/\(ArchiveEntry.display(path))", errno)
    }
}

extension Timestamp {
    init(_ time: timespec) { self.init(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec)) }
}
