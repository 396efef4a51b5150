package import FUSE
import FileSystem
package import SystemPackage

extension VolumeAdapter {
    package func read(
        _ node: NodeID, handle: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Int {
        try fileSystem.read(InodeID(node), at: offset, into: buffer)
    }

    package func write(
        _ node: NodeID, handle: UInt64, offset: UInt64, bytes: UnsafeRawBufferPointer, _ flags: WriteFlags, _ context: RequestContext
    ) throws(Errno) -> Int {
        let clearsSetIDs = flags.contains(.killPrivileges) ? try hasSetIDs(node) : false
        try fileSystem.write(InodeID(node), at: offset, from: bytes, clearsSetIDs: clearsSetIDs, isWriteback: flags.contains(.cache))
        if clearsSetIDs {
            if let mode = try modeWithoutSetGroupID(node, context) {
                var changes = InodeChanges()
                changes.mode = mode
                _ = try fileSystem.setAttributes(InodeID(node), changes)
            }
            forgetSetIDs(node)
        }
        return bytes.count
    }

    package func fsync(_ node: NodeID, handle: UInt64, dataOnly: Bool, _ context: RequestContext) throws(Errno) {
        try fileSystem.synchronize(InodeID(node), dataOnly: dataOnly)
    }

    package func fallocate(
        _ node: NodeID, handle: UInt64, mode: UInt32, offset: UInt64, length: UInt64, _ context: RequestContext
    ) throws(Errno) {
        try fileSystem.allocate(
            InodeID(node), offset: offset, length: length, mode: try AllocationMode(kernel: mode),
            isInterrupted: { context.isInterrupted })
        try clearSetIDs(node, context)
    }

    package func lseek(
        _ node: NodeID, handle: UInt64, offset: UInt64, whence: UInt32, writtenBack: Range<UInt64>, _ context: RequestContext
    ) throws(Errno) -> SeekReply {
        let found = try fileSystem.search(InodeID(node), from: offset, for: try SeekTarget(kernel: whence))
        // What is no hole here is none at all. Of the rest the kernel may know better: it caches writes, and the file's size.
        if !fileSystem.options.readOnly, !found.emptyRange.isEmpty, !writtenBack.contains(found.emptyRange) {
            return .afterWriteback(found.emptyRange)
        }
        guard let result = found.offset else { throw .noSuchAddressOrDevice }
        return .offset(result)
    }

    package func copyFileRange(
        _ source: NodeID, handle: UInt64, offset: UInt64, to target: NodeID, targetHandle: UInt64, targetOffset: UInt64,
        length: UInt64, flags: UInt64, _ context: RequestContext
    ) throws(Errno) -> UInt64 {
        guard flags == 0 else { throw .invalidArgument }
        let copied = try fileSystem.copyRange(
            from: InodeID(source), at: offset, to: InodeID(target), at: targetOffset, length: length,
            isInterrupted: { context.isInterrupted })
        try clearSetIDs(target, context)
        return copied
    }
}
