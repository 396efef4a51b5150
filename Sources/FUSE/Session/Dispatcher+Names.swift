import SystemPackage

extension Dispatcher {
    func handleNames(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        switch opcode {
        case .lookup: return try buffer.reply(EntryOut(try fileSystem.lookup(node, request.name(), context)))
        case .forget:
            let count = try request.structure(ForgetIn.self).count
            fileSystem.forget(ForgetList(node: node.rawValue, count: count))
            return .none
        case .batchForget:
            let count = try request.structure(BatchForgetIn.self).count
            fileSystem.forget(ForgetList(request.payload, claimedCount: Int(count)))
            return .none
        case .unlink:
            try fileSystem.unlink(node, request.name(), context)
            return .done
        case .rmdir:
            try fileSystem.rmdir(node, request.name(), context)
            return .done
        case .rename, .rename2: return try rename(opcode, request, context)
        default: return try make(opcode, request, buffer, context)
        }
    }

    private func rename(_ opcode: Opcode, _ request: Request, _ context: RequestContext) throws(Errno) -> Reply {
        var flags: RenameFlags = []
        let newParent: UInt64
        if opcode == .rename2 {
            let input = try request.structure(Rename2In.self)
            flags = RenameFlags(rawValue: input.flags)
            newParent = input.newParent
        } else {
            newParent = try request.structure(RenameIn.self).newParent
        }
        let (name, newName) = try request.names()
        try fileSystem.rename(NodeID(request.header.node), name, to: NodeID(newParent), newName, flags, context)
        return .done
    }

    private func make(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        var context = context
        let entry: Entry
        switch opcode {
        case .symlink:
            let (name, target) = try request.names()
            entry = try fileSystem.symlink(node, name, target: target, context)
        case .mknod:
            let input = try request.structure(MknodIn.self)
            context.umask = input.umask
            entry = try fileSystem.mknod(node, request.name(), mode: input.mode, rdev: input.rdev, context)
        case .mkdir:
            let input = try request.structure(MkdirIn.self)
            context.umask = input.umask
            entry = try fileSystem.mkdir(node, request.name(), mode: input.mode, context)
        default:
            let input = try request.structure(LinkIn.self)
            entry = try fileSystem.link(NodeID(input.node), to: node, request.name(), context)
        }
        return try buffer.reply(EntryOut(entry))
    }
}
