import SystemPackage

/// FUSE_FSYNC_FDATASYNC
private let dataOnlyFlag: UInt32 = 1

extension Dispatcher {
    func handleFiles(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        switch opcode {
        case .read: return try read(request, buffer, context)
        case .write: return try write(request, buffer, context)
        case .open:
            let input = try request.structure(OpenIn.self)
            return try buffer.reply(OpenOut(try fileSystem.open(node, flags: input.flags, context)))
        case .create, .tmpfile: return try create(opcode, request, buffer, context)
        case .flush:
            try fileSystem.flush(node, handle: request.structure(FlushIn.self).handle, context)
            return .done
        case .release:
            try fileSystem.release(node, handle: request.structure(ReleaseIn.self).handle, context)
            return .done
        case .fsync:
            let input = try request.structure(FsyncIn.self)
            try fileSystem.fsync(node, handle: input.handle, dataOnly: input.flags & dataOnlyFlag != 0, context)
            return .done
        case .fallocate:
            let input = try request.structure(FallocateIn.self)
            try fileSystem.fallocate(
                node, handle: input.handle, mode: input.mode, offset: input.offset, length: input.length, context)
            return .done
        case .lseek:
            return try seek(request, buffer, context)
        default: return try copyFileRange(opcode, request, buffer, context)
        }
    }

    private func read(
        _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(ReadIn.self)
        let size = Int(input.size)
        guard size <= buffer.count else { throw .invalidArgument }
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
        let node = NodeID(request.header.node)
        let count = try fileSystem.read(node, handle: input.handle, offset: input.offset, into: room, context)
        guard count >= 0, count <= size else { throw .ioError }
        return .payload(count)
    }

    private func write(
        _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(WriteIn.self)
        guard request.payload.count >= Int(input.size) else { throw .invalidArgument }
        let bytes = UnsafeRawBufferPointer(rebasing: request.payload[..<Int(input.size)])
        let count = try fileSystem.write(
            NodeID(request.header.node), handle: input.handle, offset: input.offset, bytes: bytes,
            WriteFlags(rawValue: input.writeFlags), context)
        return try buffer.reply(WriteOut(size: UInt32(clamping: count)))
    }

    private func seek(
        _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(LseekIn.self)
        let node = NodeID(request.header.node)
        let reply = try fileSystem.lseek(
            node, handle: input.handle, offset: input.offset, whence: input.whence, writtenBack: 0..<0, context)
        switch reply {
        case .offset(let offset): return try buffer.reply(LseekOut(offset: offset))
        case .afterWriteback(let range):
            let fileSystem = fileSystem
            // Without the worker that has the request now: it may be at another one by then.
            let later = RequestContext(uid: context.uid, gid: context.gid, pid: context.pid, unique: context.unique)
            let pending = PendingSeek(unique: context.unique, node: node, range) { writtenBack in
                Result { () throws(Errno) in
                    try fileSystem.lseek(
                        node, handle: input.handle, offset: input.offset, whence: input.whence, writtenBack: writtenBack, later)
                }
            }
            return .afterWriteback(pending)
        }
    }

    private func create(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(CreateIn.self)
        var context = context
        context.umask = input.umask
        let node = NodeID(request.header.node)
        let name = try request.name()  // that of TMPFILE says nothing
        let (entry, open) =
            opcode == .create
            ? try fileSystem.create(node, name, mode: input.mode, flags: input.flags, context)
            : try fileSystem.tmpfile(node, mode: input.mode, flags: input.flags, context)
        return try buffer.reply(CreateOut(entry: EntryOut(entry), open: OpenOut(open)))
    }

    private func copyFileRange(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(CopyFileRangeIn.self)
        // The older reply holds 32 bits; a copy may always be shorter than was asked for.
        let length = opcode == .copyFileRange64 ? input.length : min(input.length, UInt64(UInt32.max & ~0xfff))
        let copied = try fileSystem.copyFileRange(
            NodeID(request.header.node), handle: input.sourceHandle, offset: input.sourceOffset, to: NodeID(input.targetNode),
            targetHandle: input.targetHandle, targetOffset: input.targetOffset, length: length, flags: input.flags, context)
        if opcode == .copyFileRange64 { return try buffer.reply(CopyFileRangeOut(bytesCopied: copied)) }
        return try buffer.reply(WriteOut(size: UInt32(clamping: copied)))
    }
}
