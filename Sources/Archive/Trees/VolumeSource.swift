public import FileSystem
public import Syscalls
import SystemPackage

/// The tree below a directory of a volume. The volume should not change meanwhile: open it read-only.
public final class VolumeSource: TreeSource {
    private struct Child {
        var name: [UInt8]
        var inode: InodeID
    }

    /// A directory whose entries are being given; some of them at a time.
    private struct Level {
        var directory: InodeID
        var path: [UInt8]
        var children: [Child] = []
        var next = 0
        var cookie: UInt64 = 0
        var isWhole = false
    }

    private static let listingStep = 1024

    private let fileSystem: FileSystem
    private let exclusions: TreeExclusions
    private let report: (String) -> Void
    private let root: InodeID
    private var levels: [Level] = []
    private var rootIsGiven = false
    private var links = HardLinks<InodeID>()
    private var current: (inode: InodeID, path: [UInt8])?

    /// - Parameters:
    ///   - path: a directory of the volume, "/" or empty for all of it. Symbolic links are not followed.
    ///   - report: told in one line of each thing that is left out: what a tar archive cannot hold.
    public init(
        _ fileSystem: FileSystem, path: String = "/", exclusions: TreeExclusions = TreeExclusions(), report: @escaping (String) -> Void
    ) throws(Failure) {
        self.fileSystem = fileSystem
        self.exclusions = exclusions
        self.report = report
        root = try VolumePath.directory(path, in: fileSystem)
    }

    public func next() throws(Failure) -> ArchiveEntry? {
        current = nil
        if !rootIsGiven {
            rootIsGiven = true
            return try enter(root, [])
        }
        while !levels.isEmpty {
            guard let child = try nextChild() else {
                levels.removeLast()
                continue
            }
            let path = TreePath.appending(child.name, to: levels[levels.count - 1].path)
            if exclusions.contain(path) { continue }
            if let entry = try give(child.inode, path) { return entry }
        }
        return nil
    }

    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let current else { preconditionFailure("a regular file was given") }
        return try naming(current.path, "reading") { () throws(Errno) in try fileSystem.read(current.inode, at: offset, into: buffer) }
    }

    private func nextChild() throws(Failure) -> Child? {
        var level = levels.removeLast()
        defer { levels.append(level) }
        if level.next == level.children.count, !level.isWhole { try list(&level) }
        guard level.next < level.children.count else { return nil }
        level.next += 1
        return level.children[level.next - 1]
    }

    private func list(_ level: inout Level) throws(Failure) {
        var children: [Child] = []
        var cookie = level.cookie
        var isWhole = true
        try naming(level.path, "listing") { () throws(Errno) in
            try fileSystem.listDirectory(level.directory, after: level.cookie, withAttributes: false, retaining: false) { entry in
                guard children.count < Self.listingStep else {
                    isWhole = false
                    return false
                }
                cookie = entry.cookie
                if !VolumePath.isDots(entry.name) { children.append(Child(name: [UInt8](entry.name), inode: entry.inode)) }
                return true
            }
        }
        level.children = children
        level.next = 0
        level.cookie = cookie
        level.isWhole = isWhole
    }

    private func enter(_ directory: InodeID, _ path: [UInt8]) throws(Failure) -> ArchiveEntry {
        levels.append(Level(directory: directory, path: path))
        let attributes = try naming(path, "reading the attributes") { () throws(Errno) in try fileSystem.attributes(directory) }
        return try entry(path, .directory, attributes)
    }

    /// Nil for what is left out.
    private func give(_ inode: InodeID, _ path: [UInt8]) throws(Failure) -> ArchiveEntry? {
        let attributes = try naming(path, "reading the attributes") { () throws(Errno) in try fileSystem.attributes(inode) }
        if attributes.type == .directory { return try enter(inode, path) }
        if attributes.type == .socket {
            report("\(ArchiveEntry.display(path)): left out: a tar archive cannot hold a socket")
            return nil
        }
        if let earlier = links.earlierPath(of: inode, linkCount: UInt64(attributes.linkCount), as: path) {
            return try entry(path, .hardLink(path: earlier), attributes)
        }
        switch attributes.type {
        case .regular:
            current = (inode, path)
            return try entry(path, .regular(sizeBytes: attributes.sizeBytes, dataRanges: try ranges(inode, path, attributes)), attributes)
        case .symbolicLink: return try entry(path, .symbolicLink(target: try target(inode, path)), attributes)
        case .characterDevice:
            let number = DeviceNumber(attributes.deviceNumber)
            return try entry(path, .characterDevice(major: number.major, minor: number.minor), attributes)
        case .blockDevice:
            let number = DeviceNumber(attributes.deviceNumber)
            return try entry(path, .blockDevice(major: number.major, minor: number.minor), attributes)
        case .fifo, .directory, .socket: return try entry(path, .fifo, attributes)
        }
    }

    private func entry(_ path: [UInt8], _ kind: ArchiveEntry.Kind, _ attributes: Attributes) throws(Failure) -> ArchiveEntry {
        var entry = ArchiveEntry(path: path, kind: kind)
        entry.permissions = attributes.permissions
        entry.uid = attributes.uid
        entry.gid = attributes.gid
        entry.modificationTime = attributes.modificationTime
        entry.accessTime = attributes.accessTime
        if case .hardLink = kind { return entry }
        entry.extendedAttributes = try extendedAttributes(attributes.inode, path)
        return entry
    }

    private func ranges(_ inode: InodeID, _ path: [UInt8], _ attributes: Attributes) throws(Failure) -> [Range<UInt64>]? {
        try SparseMap.ranges(sizeBytes: attributes.sizeBytes) { (offset, target) throws(Failure) in
            do throws(Errno) { return try fileSystem.seek(inode, from: offset, to: target) } catch {
                if error == .noSuchAddressOrDevice { return nil }
                throw VolumePath.failure("looking for holes", path, error)
            }
        }
    }

    private func target(_ inode: InodeID, _ path: [UInt8]) throws(Failure) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 4096)
        let count = try naming(path, "reading the link") { () throws(Errno) in
            try target.withMutableBytes { (buffer) throws(Errno) in try fileSystem.readSymbolicLink(inode, into: buffer) }
        }
        return Array(target.prefix(count))
    }

    private func extendedAttributes(_ inode: InodeID, _ path: [UInt8]) throws(Failure) -> [ArchiveEntry.ExtendedAttribute] {
        try naming(path, "reading the extended attributes") { () throws(Errno) in
            let empty = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            let count = try fileSystem.listExtendedAttributes(inode, into: empty)
            if count == 0 { return [] }
            var names = [UInt8](repeating: 0, count: count)
            let got = try names.withMutableBytes { (buffer) throws(Errno) in try fileSystem.listExtendedAttributes(inode, into: buffer) }
            var result: [ArchiveEntry.ExtendedAttribute] = []
            for name in names.prefix(got).split(separator: 0) {
                let name = Array(name)
                var value = [UInt8](
                    repeating: 0,
                    count: try name.withBytes { (name) throws(Errno) in try fileSystem.extendedAttribute(inode, name, into: empty) })
                if !value.isEmpty {
                    _ = try name.withBytes { (name) throws(Errno) in
                        try value.withMutableBytes { (value) throws(Errno) in try fileSystem.extendedAttribute(inode, name, into: value) }
                    }
                }
                result.append(.init(name: name, value: value))
            }
            return result
        }
    }

    private func naming<R>(_ path: [UInt8], _ what: String, _ body: () throws(Errno) -> R) throws(Failure) -> R {
        do throws(Errno) { return try body() } catch { throw VolumePath.failure(what, path, error) }
    }
}
