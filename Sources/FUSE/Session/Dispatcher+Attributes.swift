import SystemPackage

/// GETATTR_FH
private let getattrHandleFlag: UInt32 = 1
/// SETXATTR_ACL_KILL_SGID
private let setxattrKillGroupFlag: UInt32 = 1

extension Dispatcher {
    func handleAttributes(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        switch opcode {
        case .getattr:
            let input = try request.structure(GetattrIn.self)
            let handle = input.flags & getattrHandleFlag != 0 ? input.handle : nil
            return try buffer.reply(AttrOut(try fileSystem.getattr(node, handle: handle, context)))
        case .setattr:
            let input = try request.structure(SetattrIn.self)
            let valid = SetattrValid(rawValue: input.valid)
            let handle = valid.contains(.handle) ? input.handle : nil
            return try buffer.reply(AttrOut(try fileSystem.setattr(node, handle: handle, AttributeChanges(input), context)))
        case .statx:
            let input = try request.structure(StatxIn.self)
            let handle = input.getattrFlags & getattrHandleFlag != 0 ? input.handle : nil
            let reply = try fileSystem.statx(node, handle: handle, flags: input.flags, mask: input.mask, context)
            return try buffer.reply(StatxOut(reply))
        case .readlink: return .payload(min(try fileSystem.readlink(node, into: buffer, context), buffer.count))
        case .access:
            try fileSystem.access(node, mask: request.structure(AccessIn.self).mask, context)
            return .done
        case .statfs: return try buffer.reply(StatfsOut(try fileSystem.statfs(node, context)))
        default: return try handleExtendedAttributes(opcode, request, buffer, context)
        }
    }

    private func handleExtendedAttributes(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        switch opcode {
        case .setxattr:
            let input = try request.structure(SetxattrIn.self)
            var rest = request.payload
            let name = try Request.takeName(&rest)
            guard rest.count >= Int(input.size) else { throw .invalidArgument }
            let value = UnsafeRawBufferPointer(rebasing: rest[..<Int(input.size)])
            try fileSystem.setxattr(
                node, name, value: value, flags: input.flags,
                killsSetGroupID: input.setxattrFlags & setxattrKillGroupFlag != 0, context)
            return .done
        case .removexattr:
            try fileSystem.removexattr(node, request.name(), context)
            return .done
        default:
            let size = Int(try request.structure(GetxattrIn.self).size)
            guard size <= buffer.count else { throw .invalidArgument }
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
            let length =
                opcode == .getxattr
                ? try fileSystem.getxattr(node, request.name(), into: room, context)
                : try fileSystem.listxattr(node, into: room, context)
            if size == 0 { return try buffer.reply(GetxattrOut(size: UInt32(clamping: length))) }
            guard length <= size else { throw .outOfRange }
            return .payload(length)
        }
    }
}

extension AttributeChanges {
    init(_ input: SetattrIn) {
        self.init()
        let valid = SetattrValid(rawValue: input.valid)
        if valid.contains(.mode) { mode = input.mode }
        if valid.contains(.uid) { uid = input.uid }
        if valid.contains(.gid) { gid = input.gid }
        if valid.contains(.size) { sizeBytes = input.size }
        if valid.contains(.atimeNow) {
            atime = .now
        } else if valid.contains(.atime) {
            atime = .to(FileTime(kernelSeconds: input.atime, input.atimeNanoseconds))
        }
        if valid.contains(.mtimeNow) {
            mtime = .now
        } else if valid.contains(.mtime) {
            mtime = .to(FileTime(kernelSeconds: input.mtime, input.mtimeNanoseconds))
        }
        if valid.contains(.ctime) { ctime = FileTime(kernelSeconds: input.ctime, input.ctimeNanoseconds) }
        killsPrivileges = valid.contains(.killPrivileges)
    }
}

extension FileTime {
    /// The kernel sends a signed number in an unsigned field.
    init(kernelSeconds: UInt64, _ nanoseconds: UInt32) {
        self.init(seconds: Int64(bitPattern: kernelSeconds), nanoseconds: min(nanoseconds, 999_999_999))
    }
}
