import FUSE
import Glibc
import Synchronization
import SystemPackage

extension MemoryFileSystem {
    private static let xattrCreate: UInt32 = 1
    private static let xattrReplace: UInt32 = 2

    func getattr(_ node: NodeID, handle: UInt64?, _ context: RequestContext) throws(Errno) -> AttributesReply {
        note("getattr")
        return try state.withLock { state throws(Errno) in AttributesReply(try state.node(node).attributes) }
    }

    func statx(
        _ node: NodeID, handle: UInt64?, flags: UInt32, mask: UInt32, _ context: RequestContext
    ) throws(Errno) -> StatxReply {
        note("statx")
        return try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            return StatxReply(node.attributes, birthTime: node.birth)
        }
    }

    func setattr(
        _ node: NodeID, handle: UInt64?, _ changes: AttributeChanges, _ context: RequestContext
    ) throws(Errno) -> AttributesReply {
        note("setattr")
        return try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            let now = MemoryFileSystem.now()
            func time(_ change: TimeChange) -> FileTime {
                switch change {
                case .now: now
                case .to(let time): time
                }
            }
            if let size = changes.sizeBytes {
                guard size < 1 << 32 else { throw Errno(rawValue: EFBIG) }
                node.resize(Int(size))
                node.attributes.mtime = now
            }
            if let mode = changes.mode { node.attributes.mode = (node.attributes.mode & S_IFMT) | (mode & 0o7777) }
            if changes.killsPrivileges { node.attributes.mode &= ~0o6000 }
            if let uid = changes.uid { node.attributes.uid = uid }
            if let gid = changes.gid { node.attributes.gid = gid }
            if let atime = changes.atime { node.attributes.atime = time(atime) }
            if let mtime = changes.mtime { node.attributes.mtime = time(mtime) }
            node.attributes.ctime = changes.ctime ?? now
            return AttributesReply(node.attributes)
        }
    }

    func readlink(_ node: NodeID, into target: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int {
        note("readlink")
        return try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            target.copyBytes(from: node.target)
            return node.target.count
        }
    }

    func setxattr(
        _ node: NodeID, _ name: NameBytes, value: UnsafeRawBufferPointer, flags: UInt32, killsSetGroupID: Bool, _ context: RequestContext
    ) throws(Errno) {
        note("setxattr")
        try state.withLock { state throws(Errno) in
            let node = try state.node(node)
            let name = Array(name)
            if flags & Self.xattrCreate != 0, node.xattrs[name] != nil { throw .fileExists }
            if flags & Self.xattrReplace != 0, node.xattrs[name] == nil { throw Errno(rawValue: ENODATA) }
            node.xattrs[name] = Array(value)
        }
    }

    func getxattr(
        _ node: NodeID, _ name: NameBytes, into value: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        note("getxattr")
        return try state.withLock { state throws(Errno) in
            guard let found = try state.node(node).xattrs[Array(name)] else { throw Errno(rawValue: ENODATA) }
            return try Self.deliver(found, value)
        }
    }

    func listxattr(_ node: NodeID, into names: UnsafeMutableRawBufferPointer, _ context: RequestContext) throws(Errno) -> Int {
        note("listxattr")
        return try state.withLock { state throws(Errno) in
            try Self.deliver(state.node(node).xattrs.keys.flatMap { $0 + [0] }, names)
        }
    }

    private static func deliver(_ bytes: [UInt8], _ room: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        if room.count == 0 { return bytes.count }
        guard bytes.count <= room.count else { throw .outOfRange }
        room.copyBytes(from: bytes)
        return bytes.count
    }

    func removexattr(_ node: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        note("removexattr")
        try state.withLock { state throws(Errno) in
            if try state.node(node).xattrs.removeValue(forKey: Array(name)) == nil { throw Errno(rawValue: ENODATA) }
        }
    }

    func statfs(_ node: NodeID, _ context: RequestContext) throws(Errno) -> Statistics {
        note("statfs")
        while statfsWaits.load(ordering: .relaxed), count("readlink") == 0, !context.isInterrupted { waitAMoment() }
        return Statistics(blocks: 1000, freeBlocks: 600, availableBlocks: 500, files: 4000, freeFiles: 3000)
    }
}
