import FileSystem
import SystemPackage

/// Runs operations on the file system.
struct EngineRunner {
    var volume: TestVolume
    /// The inode of each node.
    private(set) var inodes: [InodeID] = [.root]

    init(_ volume: TestVolume) { self.volume = volume }

    mutating func run(_ operation: Operation) -> Outcome {
        do throws(Errno) { return try perform(operation) } catch { return .failed(error) }
    }

    private mutating func made(_ inode: InodeID) throws(Errno) -> Outcome {
        inodes.append(inode)
        return .node(Self.status(try volume.fileSystem.attributes(inode)))
    }

    static func status(_ attributes: Attributes) -> Status {
        Status(
            type: attributes.type, permissions: attributes.permissions, linkCount: attributes.linkCount,
            sizeBytes: attributes.type == .directory ? 0 : attributes.sizeBytes)
    }

    private mutating func perform(_ operation: Operation) throws(Errno) -> Outcome {
        let fileSystem = volume.fileSystem
        switch operation {
        case .makeNode(let directory, let name, let type, let mode):
            return try made(try volume.makeNode(inodes[directory], name, mode: type.modeBits | mode))
        case .makeDirectory(let directory, let name, let mode):
            return try made(try volume.makeDirectory(inodes[directory], name, mode: mode))
        case .makeSymbolicLink(let directory, let name, let target):
            return try made(try volume.makeSymbolicLink(inodes[directory], name, target: target))
        case .makeUnnamed(let directory, let mode):
            return try made(try fileSystem.makeUnnamed(inodes[directory], mode: mode, caller: TestVolume.caller).inode)
        case .lookup(let directory, let name): return .node(Self.status(try volume.lookup(inodes[directory], name)))
        case .unlink(let directory, let name): try volume.unlink(inodes[directory], name)
        case .removeDirectory(let directory, let name): try volume.removeDirectory(inodes[directory], name)
        case .rename(let from, let oldName, let to, let newName, let flags):
            try volume.rename(inodes[from], oldName, inodes[to], newName, flags: flags)
        case .link(let node, let directory, let name): try volume.link(inodes[node], inodes[directory], name)
        case .open(let node): try fileSystem.retain(inodes[node])
        case .close(let node): fileSystem.forget(inodes[node], count: 1)
        case .status(let node): return .node(Self.status(try fileSystem.attributes(inodes[node])))
        case .changeMode(let node, let mode):
            var changes = AttributeChanges()
            changes.mode = mode
            _ = try fileSystem.setAttributes(inodes[node], changes)
        case .readLink(let node): return .bytes(try volume.readSymbolicLink(inodes[node]))
        case .list(let directory): return .entries(try list(inodes[directory]))
        default: return try performOnContent(operation)
        }
        return .done
    }

    private func performOnContent(_ operation: Operation) throws(Errno) -> Outcome {
        let fileSystem = volume.fileSystem
        switch operation {
        case .truncate(let node, let size): try volume.truncate(inodes[node], to: size)
        case .write(let node, let offset, let data): try volume.write(inodes[node], at: offset, data)
        case .read(let node, let offset, let count): return .bytes(try volume.read(inodes[node], at: offset, count: count))
        case .allocate(let node, let offset, let length, let mode):
            try fileSystem.allocate(inodes[node], offset: offset, length: length, mode: mode)
        case .copy(let source, let from, let target, let to, let length):
            return .count(try fileSystem.copyRange(from: inodes[source], at: from, to: inodes[target], at: to, length: length))
        case .setXattr(let node, let name, let value, let mode): try volume.setXattr(inodes[node], name, value, mode: mode)
        case .xattr(let node, let name): return .bytes(try volume.xattr(inodes[node], name))
        case .removeXattr(let node, let name): try volume.removeXattr(inodes[node], name)
        case .listXattrs(let node):
            return .names(try volume.xattrNames(inodes[node]).sorted { $0.lexicographicallyPrecedes($1) })
        default: preconditionFailure("the other operations are dealt with")
        }
        return .done
    }

    /// Lists in steps of a few entries, as a small buffer does.
    private func list(_ directory: InodeID) throws(Errno) -> [Outcome.Entry] {
        var entries: [Outcome.Entry] = []
        var cookie: UInt64 = 0
        while true {
            let step = try volume.list(directory, after: cookie, limit: 3)
            guard let last = step.last else { break }
            cookie = last.cookie
            entries += step.filter { $0.cookie > 2 }.map { Outcome.Entry(name: $0.name, type: $0.type) }
        }
        return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }
}
