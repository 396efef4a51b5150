package import FUSE
import FileSystem
import Glibc
package import SystemPackage

extension VolumeAdapter {
    package func getattr(_ node: NodeID, handle: UInt64?, _ context: RequestContext) throws(Errno) -> AttributesReply {
        try checkUser(context)
        return AttributesReply(kernelAttributes(try fileSystem.attributes(InodeID(node))))
    }

    package func setattr(
        _ node: NodeID, handle: UInt64?, _ changes: KernelChanges, _ context: RequestContext
    ) throws(Errno) -> AttributesReply {
        try checkUser(context)
        var changes = InodeChanges(changes)
        if changes.clearsSetIDs, changes.mode == nil { changes.mode = try modeWithoutSetGroupID(node, context) }
        return AttributesReply(kernelAttributes(try fileSystem.setAttributes(InodeID(node), changes)))
    }

    package func statx(
        _ node: NodeID, handle: UInt64?, flags: UInt32, mask: UInt32, _ context: RequestContext
    ) throws(Errno) -> StatxReply {
        try checkUser(context)
        let attributes = try fileSystem.attributes(InodeID(node))
        return StatxReply(kernelAttributes(attributes), birthTime: FileTime(attributes.birthTime))
    }

    package func readlink(
        _ node: NodeID, into target: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        try checkUser(context)
        return try fileSystem.readSymbolicLink(InodeID(node), into: target)
    }

    package func statfs(_ node: NodeID, _ context: RequestContext) throws(Errno) -> Statistics {
        try checkUser(context)
        let found = try fileSystem.statistics()
        return Statistics(
            blocks: found.totalBlocks, freeBlocks: found.freeBlocks, availableBlocks: found.availableBlocks,
            files: found.totalInodes, freeFiles: found.freeInodes, blockSizeBytes: found.blockSizeBytes,
            fragmentSizeBytes: found.blockSizeBytes, nameLengthBytes: found.maximumNameBytes)
    }

    // MARK: Extended attributes

    package func setxattr(
        _ node: NodeID, _ name: NameBytes, value: UnsafeRawBufferPointer, flags: UInt32, killsSetGroupID: Bool,
        _ context: RequestContext
    ) throws(Errno) {
        try checkUser(context)
        try Self.checkXattr(name)
        try fileSystem.setExtendedAttribute(
            InodeID(node), name, value: value, mode: try ExtendedAttributeMode(kernel: flags), clearsSetGroupID: killsSetGroupID)
    }

    package func getxattr(
        _ node: NodeID, _ name: NameBytes, into value: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        try checkUser(context)
        if node == .root, name.elementsEqual(MountedVolume.serverAttribute.utf8) { return try Self.answer("\(getpid())", into: value) }
        try Self.checkXattr(name)
        return try fileSystem.extendedAttribute(InodeID(node), name, into: value)
    }

    private static let xattrPrefixes = ["user.", "trusted.", "security."]
    private static let xattrNames = ["system.posix_acl_access", "system.posix_acl_default"]

    /// EOPNOTSUPP for what is none of the kinds whose rights the kernel checks: it leaves all others to the file system.
    private static func checkXattr(_ name: NameBytes) throws(Errno) {
        for prefix in xattrPrefixes where name.starts(with: prefix.utf8) {
            if name.count == prefix.utf8.count { throw .invalidArgument }
            return
        }
        for known in xattrNames where name.elementsEqual(known.utf8) { return }
        throw Errno(rawValue: EOPNOTSUPP)
    }

    /// As getxattr(2) answers: with no room, how much there should be.
    private static func answer(_ text: String, into value: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        if value.isEmpty { return text.utf8.count }
        guard value.count >= text.utf8.count else { throw .outOfRange }
        value.copyBytes(from: text.utf8)
        return text.utf8.count
    }

    package func listxattr(
        _ node: NodeID, into names: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        try checkUser(context)
        return try fileSystem.listExtendedAttributes(InodeID(node), into: names, includesTrusted: context.uid == 0)
    }

    package func removexattr(_ node: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        try checkUser(context)
        try Self.checkXattr(name)
        try fileSystem.removeExtendedAttribute(InodeID(node), name)
    }
}
