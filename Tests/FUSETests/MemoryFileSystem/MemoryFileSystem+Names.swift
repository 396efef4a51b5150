import FUSE
import Glibc
import Synchronization
import SystemPackage

extension MemoryFileSystem {
    func lookup(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        note("lookup")
        return try state.withLock { state throws(Errno) in
            let name = Array(name)
            if name == Array(".".utf8) { return try state.node(parent).entry() }
            let directory = try state.directory(parent)
            if name == Array("..".utf8) { return try state.node(NodeID(directory.parent)).entry() }
            guard let child = directory.children[name] else { return .negative(.forever) }
            return try state.node(NodeID(child)).entry()
        }
    }

    private func add(_ parent: NodeID, _ name: NameBytes, _ make: (inout State) -> Node) throws(Errno) -> Entry {
        try state.withLock { state throws(Errno) in
            let directory = try state.directory(parent)
            let name = Array(name)
            guard directory.children[name] == nil else { throw .fileExists }
            let node = make(&state)
            node.parent = parent.rawValue
            directory.add(name, node.attributes.inode)
            if node.isDirectory { directory.attributes.linkCount += 1 }
            directory.touched()
            return node.entry()
        }
    }

    func symlink(_ parent: NodeID, _ name: NameBytes, target: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        note("symlink")
        return try add(parent, name) { state in
            let node = state.make(mode: S_IFLNK | 0o777, context)
            node.target = Array(target)
            node.attributes.sizeBytes = UInt64(target.count)
            return node
        }
    }

    func mknod(_ parent: NodeID, _ name: NameBytes, mode: UInt32, rdev: UInt32, _ context: RequestContext) throws(Errno) -> Entry {
        note("mknod")
        return try add(parent, name) { $0.make(mode: mode, rdev: rdev, context) }
    }

    func mkdir(_ parent: NodeID, _ name: NameBytes, mode: UInt32, _ context: RequestContext) throws(Errno) -> Entry {
        note("mkdir")
        return try add(parent, name) { $0.make(mode: S_IFDIR | (mode & 0o7777), context) }
    }

    func create(
        _ parent: NodeID, _ name: NameBytes, mode: UInt32, flags: UInt32, _ context: RequestContext
    ) throws(Errno) -> (Entry, OpenReply) {
        note("create")
        guard options.answersCreate else { throw .noFunction }
        return (try add(parent, name) { $0.make(mode: mode, context) }, OpenReply(handle: 7, flags: .keepCache))
    }

    func tmpfile(_ parent: NodeID, mode: UInt32, flags: UInt32, _ context: RequestContext) throws(Errno) -> (Entry, OpenReply) {
        note("tmpfile")
        return state.withLock { state in
            let node = state.make(mode: mode, context)
            node.attributes.linkCount = 0
            return (node.entry(), OpenReply(handle: 8, flags: .keepCache))
        }
    }

    func unlink(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        note("unlink")
        try remove(parent, name) { node throws(Errno) in if node.isDirectory { throw .isDirectory } }
    }

    func rmdir(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        note("rmdir")
        try remove(parent, name) { node throws(Errno) in
            if !node.isDirectory { throw .notDirectory }
            if !node.children.isEmpty { throw .directoryNotEmpty }
        }
    }

    private func remove(_ parent: NodeID, _ name: NameBytes, _ check: (Node) throws(Errno) -> Void) throws(Errno) {
        try state.withLock { state throws(Errno) in
            let directory = try state.directory(parent)
            let name = Array(name)
            guard let child = directory.children[name] else { throw .noSuchFileOrDirectory }
            let node = try state.node(NodeID(child))
            try check(node)
            directory.remove(name)
            if node.isDirectory { directory.attributes.linkCount -= 1 }
            directory.touched()
            state.unlinked(node)
        }
    }

    func link(_ node: NodeID, to newParent: NodeID, _ newName: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        note("link")
        return try state.withLock { state throws(Errno) in
            let directory = try state.directory(newParent)
            let node = try state.node(node)
            let name = Array(newName)
            guard directory.children[name] == nil else { throw .fileExists }
            directory.add(name, node.attributes.inode)
            directory.touched()
            node.attributes.linkCount += 1
            node.attributes.ctime = MemoryFileSystem.now()
            return node.entry()
        }
    }

    func rename(
        _ parent: NodeID, _ name: NameBytes, to newParent: NodeID, _ newName: NameBytes, _ flags: RenameFlags, _ context: RequestContext
    ) throws(Errno) {
        note("rename")
        try state.withLock { state throws(Errno) in
            let from = try state.directory(parent)
            let to = try state.directory(newParent)
            let (name, newName) = (Array(name), Array(newName))
            guard let moved = from.children[name] else { throw .noSuchFileOrDirectory }
            let existing = to.children[newName]
            if flags.contains(.noReplace), existing != nil { throw .fileExists }
            if flags.contains(.exchange), existing == nil { throw .noSuchFileOrDirectory }
            let node = try state.node(NodeID(moved))
            if let existing {
                let other = try state.node(NodeID(existing))
                if !flags.contains(.exchange), other.isDirectory, !other.children.isEmpty { throw .directoryNotEmpty }
                to.remove(newName)
                if other.isDirectory { to.attributes.linkCount -= 1 }
                if flags.contains(.exchange) {
                    from.remove(name)
                    from.add(name, existing)
                    other.parent = parent.rawValue
                    if other.isDirectory { from.attributes.linkCount += 1 }
                } else {
                    state.unlinked(other)
                }
            }
            if !flags.contains(.exchange) { from.remove(name) }
            to.add(newName, moved)
            node.parent = newParent.rawValue
            if node.isDirectory {
                from.attributes.linkCount -= 1
                to.attributes.linkCount += 1
            }
            from.touched()
            to.touched()
        }
    }
}
