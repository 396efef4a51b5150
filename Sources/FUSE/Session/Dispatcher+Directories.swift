import SystemPackage

extension Dispatcher {
    func handleDirectories(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let node = NodeID(request.header.node)
        switch opcode {
        case .opendir:
            let input = try request.structure(OpenIn.self)
            return try buffer.reply(OpenOut(try fileSystem.opendir(node, flags: input.flags, context)))
        case .readdir, .readdirplus: return try list(opcode, request, buffer, context)
        case .releasedir: try fileSystem.releasedir(node, handle: request.structure(ReleaseIn.self).handle, context)
        case .fsyncdir:
            let input = try request.structure(FsyncIn.self)
            try fileSystem.fsyncdir(node, handle: input.handle, dataOnly: input.flags & 1 != 0, context)
        default: try fileSystem.syncfs(node, context)
        }
        return .done
    }

    private func list(
        _ opcode: Opcode, _ request: Request, _ buffer: UnsafeMutableRawBufferPointer, _ context: RequestContext
    ) throws(Errno) -> Reply {
        let input = try request.structure(ReadIn.self)
        guard Int(input.size) <= buffer.count else { throw .invalidArgument }
        var directory = DirectoryBuffer(UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(input.size)]))
        let node = NodeID(request.header.node)
        do throws(Errno) {
            if opcode == .readdirplus {
                try fileSystem.readdirplus(node, handle: input.handle, offset: input.offset, into: &directory, context)
            } else {
                try fileSystem.readdir(node, handle: input.handle, offset: input.offset, into: &directory, context)
            }
        } catch {
            // What was gathered counts as looked up, so it is delivered; the error comes with the next call.
            if directory.entryCount == 0 { throw error }
        }
        return .payload(directory.count)
    }
}
