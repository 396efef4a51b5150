package import FUSE
import FileSystem
import Glibc
package import SystemPackage

extension VolumeAdapter {
    package func getattr(_ node: NodeID, handle: UInt64?, _ context: RequestContext) throws(Errno) -> AttributesReply {
        AttributesReply(kernelAttributes(try fileSystem.attributes(InodeID(node))))
    }

    package func setattr(
        _ node: NodeID, handle: UInt64?, _ changes: KernelChanges, _ context: RequestContext
    ) throws(Errno) -> AttributesReply {
        AttributesReply(kernelAttributes(try fileSystem.setAttributes(InodeID(node), InodeChanges(changes))))
    }

    package func statx(
        _ node: NodeID, handle: UInt64?, flags: UInt32, mask: UInt32, _ context: RequestContext
    ) throws(Errno) -> StatxReply {
        let attributes = try fileSystem.attributes(InodeID(node))
        return StatxReply(kernelAttributes(attributes), birthTime: FileTime(attributes.birthTime))
    }

    package func readlink(
        _ node: NodeID, into target: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        try fileSystem.readSymbolicLink(InodeID(node), into: target)
    }

    package func statfs(_ node: NodeID, _ context: RequestContext) throws(Errno) -> Statistics {
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
        try fileSystem.setExtendedAttribute(
            InodeID(node), name, value: value, mode: try ExtendedAttributeMode(kernel: flags), clearsSetGroupID: killsSetGroupID)
    }

    package func getxattr(
        _ node: NodeID, _ name: NameBytes, into value: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        if node == .root, name.elementsEqual(MountedVolume.serverAttribute.utf8) { return try Self.answer("\(getpid())", into: value) }
        return try fileSystem.extendedAttribute(InodeID(node), name, into: value)
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
        try fileSystem.listExtendedAttributes(InodeID(node), into: names)
    }

    package func removexattr(_ node: NodeID, _ name: NameBytes, _ context: RequestContext) throws(Errno) {
        try fileSystem.removeExtendedAttribute(InodeID(node), name)
    }
}
