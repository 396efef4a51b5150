import FileSystem
import SystemPackage

extension TestVolume {
    /// All that can be seen of the tree, a line for each entry: where, what, how large, and a sum over content and attributes.
    func treeDescription() throws(Errno) -> [String] {
        var lines: [String] = []
        try describe(.root, "", &lines)
        return lines.sorted()
    }

    private func describe(_ directory: InodeID, _ path: String, _ lines: inout [String]) throws(Errno) {
        for entry in try list(directory) where entry.cookie > 2 {
            let entryPath = path + "/" + String(decoding: entry.name, as: UTF8.self)
            let status = EngineRunner.status(try fileSystem.attributes(entry.inode))
            var sum: UInt64 = 0
            switch entry.type {
            case .regular: sum = treeSum(try read(entry.inode, at: 0, count: 60_000))
            case .symbolicLink: sum = treeSum(try readSymbolicLink(entry.inode))
            default: break
            }
            for name in try xattrNames(entry.inode) { sum &+= treeSum(name + [0] + (try xattr(entry.inode, name))) }
            lines.append(treeLine(entryPath, status, sum))
            if entry.type == .directory { try describe(entry.inode, entryPath, &lines) }
        }
    }
}

extension ModelVolume {
    /// The same of the model.
    func treeDescription() -> [String] {
        var lines: [String] = []
        describe(0, "", &lines)
        return lines.sorted()
    }

    private func describe(_ directory: Node, _ path: String, _ lines: inout [String]) {
        for (name, node) in files[directory].entries {
            let entryPath = path + "/" + String(decoding: name, as: UTF8.self)
            var sum: UInt64 = files[node].type == .regular || files[node].type == .symbolicLink ? treeSum(files[node].content) : 0
            for (name, value) in files[node].xattrs { sum &+= treeSum(name + [0] + value) }
            lines.append(treeLine(entryPath, status(node), sum))
            if files[node].type == .directory { describe(node, entryPath, &lines) }
        }
    }
}

private func treeLine(_ path: String, _ status: Status, _ sum: UInt64) -> String {
    "\(path) \(status.type) \(status.permissions) \(status.linkCount) \(status.sizeBytes) \(sum)"
}

private func treeSum(_ bytes: [UInt8]) -> UInt64 {
    bytes.withUnsafeBytes { bytes in
        var sum: UInt64 = 14_695_981_039_346_656_037 &+ UInt64(bytes.count)
        var offset = 0
        while offset + 8 <= bytes.count {
            sum = (sum ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01b3
            sum ^= sum >> 31
            offset += 8
        }
        while offset < bytes.count {
            sum = (sum ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
            offset += 1
        }
        return sum
    }
}
