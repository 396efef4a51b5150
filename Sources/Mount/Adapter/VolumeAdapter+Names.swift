package import FUSE
import FileSystem
package import SystemPackage

extension VolumeAdapter {
    package func lookup(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        try checkUser(context)
        if isHidden(parent, name) { return .negative(.forever) }
        do throws(Errno) {
            return entry(try fileSystem.lookup(InodeID(parent), name, retaining: true))
        } catch .noSuchFileOrDirectory {
            return .negative(.forever)
        }
    }

    package func forget(_ list: ForgetList) {
        for (node, lookups) in list { fileSystem.forget(InodeID(node), count: lookups) }
    }

    package func symlink(_ parent: NodeID, _ name: NameBytes, target: NameBytes, _ context: RequestContext) throws(Errno) -> Entry {
        try checkUser(context)
        try refuseHidden(parent, name)
        return try making { () throws(Errno) in
            try fileSystem.makeSymbolicLink(InodeID(parent), name, target: target, caller: Caller(context), retaining: true)
        }
    }

    package func mknod(
        _ parent: NodeID, _ name: NameBytes, mode: UInt32, rdev: UInt32, _ context: RequestContext
    ) throws(Errno) -> Entry {
        try checkUser(context)
        try refuseHidden(parent, name)
        return try making { () throws(Errno) in
            try fileSystem.makeNode(InodeID(parent), name, mode: mode, deviceNumber: rdev, caller: Caller(context), retaining: true)
        }
    }

    package func mkdir(_ parent: NodeID, _ name: NameBytes, mode: UInt32, _ context: RequestContext) throws(Errno) -> Entry {
        try checkUser(context)
        try refuseHidden(parent, name)
        return try making { () throws(Errno) in
            try fileSystem.makeDirectory(InodeID(parent), name, mode: mode, caller: Caller(context), retaining: true)
        }
    }

    package func unlink(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        try checkUser(context)
        if isHidden(parent, name) { throw .noSuchFileOrDirectory }
        try fileSystem.unlink(InodeID(parent), name)
    }

    package func rmdir(_ parent: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        try checkUser(context)
        if isHidden(parent, name) { throw .noSuchFileOrDirectory }
        try fileSystem.removeDirectory(InodeID(parent), name)
    }

    package func rename(
        _ parent: NodeID, _ name: NameBytes, to newParent: NodeID, _ newName: NameBytes, _ flags: KernelRenameFlags,
        _ context: RequestContext
    ) throws(Errno) {
        try checkUser(context)
        if isHidden(parent, name) { throw .noSuchFileOrDirectory }
        try refuseHidden(newParent, newName)
        try fileSystem.rename(
            InodeID(parent), name, to: InodeID(newParent), newName, flags: InodeRenameFlags(rawValue: flags.rawValue),
            caller: Caller(context))
        forgetRenamed((parent, name), (newParent, newName))
    }

    package func link(
        _ node: NodeID, to newParent: NodeID, _ newName: NameBytes, _ context: RequestContext
    ) throws(Errno) -> Entry {
        try checkUser(context)
        try refuseHidden(newParent, newName)
        return try making { () throws(Errno) in try fileSystem.link(InodeID(node), InodeID(newParent), newName, retaining: true) }
    }

    /// The kernel asks for a new name only where it knows of none. If there is one all the same, another face has just made it: ESTALE makes
    /// the kernel look once more, and then do with what is there as the program asked, such as open it.
    private func making(_ make: () throws(Errno) -> InodeAttributes) throws(Errno) -> Entry {
        do throws(Errno) { return entry(try make()) } catch {
            throw options.isShared && error == .fileExists ? .staleNFSFileHandle : error
        }
    }

    // MARK: Listing

    package func readdir(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno) {
        try checkUser(context)
        try fileSystem.listDirectory(InodeID(node), after: offset, withAttributes: false, retaining: false) { found in
            if isHidden(node, found.name) { return true }
            return buffer.append(inode: found.inode.rawValue, nextOffset: found.cookie, mode: found.type.modeBits, name: found.name)
        }
    }

    package func readdirplus(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: inout DirectoryBuffer, _ context: RequestContext
    ) throws(Errno) {
        try checkUser(context)
        try fileSystem.listDirectory(InodeID(node), after: offset, withAttributes: true, retaining: true) { found in
            // It counts as looked up, and the kernel will not give it back.
            if isHidden(node, found.name) {
                fileSystem.forget(found.inode, count: 1)
                return true
            }
            // "." and ".." come without attributes, and as node 0 do not count as looked up.
            let reply = found.attributes.map { entry($0) } ?? .negative(.zero)
            return buffer.append(
                reply, inode: found.inode.rawValue, nextOffset: found.cookie, mode: found.type.modeBits, name: found.name)
        }
    }

    package func fsyncdir(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) {
        // The kernel tells a FUSE server of neither sync(2) nor syncfs(2); an fsync of the mount's root stands in for them.
        if node == .root { return try fileSystem.synchronizeAll() }
        try fileSystem.synchronize(InodeID(node), dataOnly: dataOnly)
    }

    package func syncfs(_ node: NodeID, _ context: RequestContext) throws(Errno) { try fileSystem.synchronizeAll() }
}
