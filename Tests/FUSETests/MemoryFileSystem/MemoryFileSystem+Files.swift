import FUSE
import Glibc
import Synchronization
import SystemPackage

extension MemoryFileSystem {
    func open(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply {
        note("open")
        guard options.answersOpen else { throw .noFunction }
        return OpenReply(handle: 9, flags: .keepCache)
    }

    func opendir(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply {
        note("opendir")
        guard options.answersOpen else { throw .noFunction }
        return OpenReply(handle: 10, flags: [.keepCache, .cacheDirectory])
    }

    func release(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) { note("release") }
    func releasedir(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) { note("releasedir") }

    func flush(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) {
        note("flush")
        guard options.answersFlush else { throw .noFunction }
    }

    func fsync(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) {
        note(dataOnly ? "fdatasync" : "fsync")
    }

    func fsyncdir(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) { note("fsyncdir") }

    func read(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        note("read")
        return try state.withLock { state throws(Errno) in
            let content = try state.node(node).content
            guard offset < UInt64(content.count) else { return 0 }
            let part = content[Int(offset)..<min(Int(offset) + buffer.count, content.count)]
            buffer.copyBytes(from: part)
            return part.count
        }
    }

    func write(
        _ node: NodeID, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer, _ flags: WriteFlags, _ context: RequestContext
    ) throws(Errno) -> Int {
        note("write")
        return try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            guard offset < 1 << 32 else { throw Errno(rawValue: EFBIG) }
            let end = Int(offset) + bytes.count
            if end > node.content.count { node.resize(end) }
            node.content.withUnsafeMutableBytes { content in
                content[Int(offset)..<end].copyBytes(from: bytes)
            }
            if flags.contains(.killPrivileges) { node.attributes.mode &= ~0o6000 }
            node.touched()
            return bytes.count
        }
    }

    func fallocate(
        _ node: NodeID, handle: UInt64, mode: UInt32, offset: UInt64, length: UInt64, _ context: RequestContext
    ) throws(Errno) {
        note("fallocate-\(mode)")
        try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            let end = Int(offset + length)
            if mode & 1 == 0, end > node.content.count { node.resize(end) }
            if mode & 2 != 0 || mode & 16 != 0 {
                for index in Int(offset)..<max(min(end, node.content.count), Int(offset)) { node.content[index] = 0 }
            }
            node.touched()
        }
    }

    func lseek(
        _ node: NodeID, handle: UInt64, offset: UInt64, whence: UInt32, writtenBack: Range<UInt64>, _ context: RequestContext
    ) throws(Errno) -> SeekReply {
        note("lseek")
        return try state.withLock { state throws(Errno) in
            let size = UInt64(try state.node(node).content.count)
            guard offset < size else { throw Errno(rawValue: ENXIO) }
            let seekData: UInt32 = 3
            return .offset(whence == seekData ? offset : size)
        }
    }

    func copyFileRange(
        _ source: NodeID, handle: UInt64, offset: UInt64, to target: NodeID, targetHandle: UInt64, targetOffset: UInt64,
        length: UInt64, flags: UInt64, _ context: RequestContext
    ) throws(Errno) -> UInt64 {
        note("copy_file_range")
        return try state.withLock { state throws(Errno) in
            let from = try state.node(source)
            let to = try state.node(target)
            guard offset < UInt64(from.content.count) else { return 0 }
            let part = Array(from.content[Int(offset)..<min(from.content.count, Int(offset) + Int(length))])
            let end = Int(targetOffset) + part.count
            if end > to.content.count { to.resize(end) }
            to.content.replaceSubrange(Int(targetOffset)..<end, with: part)
            to.touched()
            return UInt64(part.count)
        }
    }

    func readdir(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno) {
        note("readdir")
        try list(node, offset, &buffer, plus: false)
    }

    func readdirplus(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno) {
        note("readdirplus")
        try list(node, offset, &buffer, plus: true)
    }

    private func list(_ id: NodeID, _ offset: UInt64, _ buffer: inout DirectoryBuffer, plus: Bool) throws(Errno) {
        guard offset < 1 << 62 else { throw .invalidArgument }
        // A closure may not capture an inout parameter that is not copyable, so the entries are gathered first.
        let (entries, nodes): ([(name: [UInt8], node: UInt64, next: UInt64)], [UInt64: Node]) = try state.withLock {
            state throws(Errno) in
            let directory = try state.directory(id)
            var entries: [(name: [UInt8], node: UInt64, next: UInt64)] = []
            if offset < 1 { entries.append((Array(".".utf8), id.rawValue, 1)) }
            if offset < 2 { entries.append((Array("..".utf8), max(directory.parent, 1), 2)) }
            for index in Int(max(offset, 2) - 2)..<max(directory.order.count, Int(max(offset, 2) - 2)) {
                if let entry = directory.order[index] { entries.append((entry.name, entry.node, UInt64(index + 3))) }
                if entries.count > 2000 { break }
            }
            return (entries, state.nodes)
        }
        for entry in entries {
            guard let node = nodes[entry.node] else { continue }
            let attributes = node.attributes
            let fits = entry.name.withUnsafeBytes { name in
                if !plus {
                    return buffer.append(inode: entry.node, nextOffset: entry.next, mode: attributes.mode, name: name)
                }
                let counts = entry.next > 2
                let reply =
                    counts ? Entry(node: NodeID(entry.node), attributes: attributes) : Entry.negative(.zero)
                return buffer.append(reply, inode: entry.node, nextOffset: entry.next, mode: attributes.mode, name: name)
            }
            if !fits { return }
            if plus, entry.next > 2 { state.withLock { _ in node.lookups += 1 } }
        }
    }

    func syncfs(_ node: NodeID, _ context: RequestContext) throws(Errno) { note("syncfs") }
}
