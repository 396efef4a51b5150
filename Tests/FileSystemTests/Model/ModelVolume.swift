import FileSystem
import SystemPackage

/// What a POSIX file system is, as plainly as can be said: the reference that others are compared with.
struct ModelVolume {
    /// A class only because debug builds copy a struct for each look at it.
    final class File {
        let type: InodeType
        var permissions: UInt32
        var linkCount: UInt32
        var content: [UInt8] = []
        var entries: [Name: Node] = [:]
        var parent: Node = 0
        var xattrs: [Name: [UInt8]] = [:]
        var openCount = 0
        var isThere: Bool { linkCount > 0 || openCount > 0 }

        init(type: InodeType, permissions: UInt32, linkCount: UInt32, content: [UInt8] = [], openCount: Int = 0) {
            self.type = type
            self.permissions = permissions
            self.linkCount = linkCount
            self.content = content
            self.openCount = openCount
        }
    }

    /// The root is node 0.
    private(set) var files: [File] = [File(type: .directory, permissions: 0o755, linkCount: 2)]
    /// Nodes that are there, in order. Brought up to date after each operation.
    private(set) var living: [Node] = [0]
    /// Nodes that were there and are not any more.
    private(set) var dead: [Node] = []

    mutating func run(_ operation: Operation) -> Outcome {
        let known = files.count
        defer { if operation.changesNames { updateLiving(known) } }
        do throws(Errno) { return try perform(operation) } catch { return .failed(error) }
    }

    private mutating func updateLiving(_ known: Int) {
        living += known..<files.count
        guard living.contains(where: { !files[$0].isThere }) else { return }
        dead += living.filter { !files[$0].isThere }
        living.removeAll { !files[$0].isThere }
    }

    private mutating func perform(_ operation: Operation) throws(Errno) -> Outcome {
        switch operation {
        case .makeNode(let directory, let name, let type, let mode):
            return try make(directory, name, File(type: type, permissions: mode, linkCount: 1))
        case .makeDirectory(let directory, let name, let mode):
            return try make(directory, name, File(type: .directory, permissions: mode, linkCount: 2))
        case .makeSymbolicLink(let directory, let name, let target):
            return try make(directory, name, File(type: .symbolicLink, permissions: 0o777, linkCount: 1, content: target))
        case .makeUnnamed(let directory, let mode):
            try requireLive(directory)
            files.append(File(type: .regular, permissions: mode, linkCount: 0, openCount: 1))
            return .node(status(files.count - 1))
        case .lookup(let directory, let name):
            return .node(status(try entry(directory, name)))
        case .unlink(let directory, let name): try unlink(directory, name)
        case .removeDirectory(let directory, let name): try removeDirectory(directory, name)
        case .rename(let from, let oldName, let to, let newName, let flags): try rename(from, oldName, to, newName, flags)
        case .link(let node, let directory, let name): try link(node, directory, name)
        case .open(let node): files[node].openCount += 1
        case .close(let node): files[node].openCount -= 1
        case .status(let node): return .node(status(node))
        case .changeMode(let node, let mode): files[node].permissions = mode
        case .readLink(let node):
            guard files[node].type == .symbolicLink else { throw .invalidArgument }
            return .bytes(files[node].content)
        case .list(let directory):
            try requireLive(directory)
            let entries = files[directory].entries.map { Outcome.Entry(name: $0.key, type: files[$0.value].type) }
            return .entries(entries.sorted { $0.name.lexicographicallyPrecedes($1.name) })
        default: return try performOnContent(operation)
        }
        return .done
    }

    func status(_ node: Node) -> Status {
        let file = files[node]
        return Status(
            type: file.type, permissions: file.permissions, linkCount: file.linkCount,
            sizeBytes: file.type == .directory ? 0 : UInt64(file.content.count))
    }

    private func requireDirectory(_ node: Node) throws(Errno) {
        if files[node].type != .directory { throw .notDirectory }
    }

    private func requireLive(_ node: Node) throws(Errno) {
        try requireDirectory(node)
        if files[node].linkCount == 0 { throw .noSuchFileOrDirectory }
    }

    private func entry(_ directory: Node, _ name: Name) throws(Errno) -> Node {
        try requireDirectory(directory)
        guard let node = files[directory].entries[name] else { throw .noSuchFileOrDirectory }
        return node
    }

    private mutating func make(_ directory: Node, _ name: Name, _ file: File) throws(Errno) -> Outcome {
        try requireLive(directory)
        if files[directory].entries[name] != nil { throw .fileExists }
        files.append(file)
        let node = files.count - 1
        files[node].parent = directory
        files[directory].entries[name] = node
        if file.type == .directory { files[directory].linkCount += 1 }
        return .node(status(node))
    }

    private mutating func unlink(_ directory: Node, _ name: Name) throws(Errno) {
        let node = try entry(directory, name)
        if files[node].type == .directory { throw .isDirectory }
        files[directory].entries[name] = nil
        files[node].linkCount -= 1
    }

    private mutating func removeDirectory(_ directory: Node, _ name: Name) throws(Errno) {
        let node = try entry(directory, name)
        if files[node].type != .directory { throw .notDirectory }
        if !files[node].entries.isEmpty { throw .directoryNotEmpty }
        files[directory].entries[name] = nil
        files[directory].linkCount -= 1
        files[node].linkCount = 0
    }

    private mutating func link(_ node: Node, _ directory: Node, _ name: Name) throws(Errno) {
        try requireLive(directory)
        if files[directory].entries[name] != nil { throw .fileExists }
        if files[node].type == .directory { throw .notPermitted }
        files[directory].entries[name] = node
        files[node].linkCount += 1
    }

    private mutating func rename(_ from: Node, _ oldName: Name, _ to: Node, _ newName: Name, _ flags: RenameFlags) throws(Errno) {
        try requireDirectory(from)
        try requireLive(to)
        let source = try entry(from, oldName)
        let target = files[to].entries[newName]
        if target == nil, flags.contains(.exchange) { throw .noSuchFileOrDirectory }
        if target != nil, flags.contains(.noReplace) { throw .fileExists }
        if source == target { return }
        if from != to {
            if isAncestor(source, of: to) { throw .invalidArgument }
            if let target, isAncestor(target, of: from) {
                if flags.contains(.exchange) { throw .invalidArgument }
                throw .directoryNotEmpty
            }
        }
        if let target, flags.contains(.exchange) {
            files[from].entries[oldName] = target
            files[to].entries[newName] = source
            moved(target, to, from)
            moved(source, from, to)
            return
        }
        if let target { try replace(target, by: source, to) }
        files[from].entries[oldName] = nil
        files[to].entries[newName] = source
        moved(source, from, to)
    }

    private mutating func moved(_ node: Node, _ from: Node, _ to: Node) {
        guard files[node].type == .directory else { return }
        files[from].linkCount -= 1
        files[to].linkCount += 1
        files[node].parent = to
    }

    private mutating func replace(_ target: Node, by source: Node, _ directory: Node) throws(Errno) {
        if files[source].type == .directory {
            if files[target].type != .directory { throw .notDirectory }
            if !files[target].entries.isEmpty { throw .directoryNotEmpty }
            files[directory].linkCount -= 1
            files[target].linkCount = 0
        } else {
            if files[target].type == .directory { throw .isDirectory }
            files[target].linkCount -= 1
        }
    }

    private func isAncestor(_ node: Node, of directory: Node) -> Bool {
        var current = directory
        while current != node {
            if current == 0 { return false }
            current = files[current].parent
        }
        return true
    }
}

// MARK: Content and attributes
extension ModelVolume {
    private mutating func performOnContent(_ operation: Operation) throws(Errno) -> Outcome {
        switch operation {
        case .truncate(let node, let size):
            try requireRegular(node)
            resize(node, Int(size))
        case .write(let node, let offset, let data):
            try requireRegular(node)
            put(node, Int(offset), data)
        case .read(let node, let offset, let count):
            try requireRegular(node)
            return .bytes(bytes(node, Int(offset), count))
        case .allocate(let node, let offset, let length, let mode):
            try allocate(node, Int(offset), Int(length), mode)
        case .copy(let source, let from, let target, let to, let length):
            try requireRegular(target)
            try requireRegular(source)
            let data = bytes(source, Int(from), Int(length))
            let count = UInt64(data.count)
            if source == target, from < to + count, to < from + count { throw .invalidArgument }
            put(target, Int(to), data)
            return .count(UInt64(data.count))
        case .setXattr(let node, let name, let value, let mode):
            if files[node].xattrs[name] != nil, mode == .create { throw .fileExists }
            if files[node].xattrs[name] == nil, mode == .replace { throw .noData }
            files[node].xattrs[name] = value
        case .xattr(let node, let name):
            guard let value = files[node].xattrs[name] else { throw .noData }
            return .bytes(value)
        case .removeXattr(let node, let name):
            guard files[node].xattrs.removeValue(forKey: name) != nil else { throw .noData }
        case .listXattrs(let node):
            return .names(files[node].xattrs.keys.sorted { $0.lexicographicallyPrecedes($1) })
        default: preconditionFailure("the other operations are dealt with")
        }
        return .done
    }

    private func requireRegular(_ node: Node) throws(Errno) {
        if files[node].type == .directory { throw .isDirectory }
        if files[node].type != .regular { throw .invalidArgument }
    }

    private mutating func resize(_ node: Node, _ size: Int) {
        let count = files[node].content.count
        if size < count {
            files[node].content.removeLast(count - size)
        } else {
            files[node].content += [UInt8](repeating: 0, count: size - count)
        }
    }

    private mutating func put(_ node: Node, _ offset: Int, _ data: [UInt8]) {
        if data.isEmpty { return }
        if offset + data.count > files[node].content.count { resize(node, offset + data.count) }
        files[node].content.replaceSubrange(offset..<offset + data.count, with: data)
    }

    private func bytes(_ node: Node, _ offset: Int, _ count: Int) -> [UInt8] {
        let size = files[node].content.count
        return Array(files[node].content[min(offset, size)..<min(offset + count, size)])
    }

    private mutating func allocate(_ node: Node, _ offset: Int, _ length: Int, _ mode: AllocationMode) throws(Errno) {
        if files[node].type == .directory { throw .isDirectory }
        if files[node].type != .regular { throw .operationNotSupportedByDevice }
        let end = offset + length
        switch mode {
        case .allocate(let keepSize): if !keepSize, end > files[node].content.count { resize(node, end) }
        case .punchHole: zero(node, offset, end)
        case .zeroRange(let keepSize):
            if !keepSize, end > files[node].content.count { resize(node, end) }
            zero(node, offset, end)
        }
    }

    private mutating func zero(_ node: Node, _ from: Int, _ to: Int) {
        let size = files[node].content.count
        let range = min(from, size)..<min(to, size)
        files[node].content.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
    }

    /// A remount: what is only open is gone, and nothing is open.
    mutating func closeAll() {
        for node in living { files[node].openCount = 0 }
        updateLiving(files.count)
    }
}
