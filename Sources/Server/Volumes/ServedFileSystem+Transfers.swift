import FileSystem
import HTTPTypes
import Syscalls
import SystemPackage

extension ServedFileSystem {
    func metadata(_ path: RequestPath) throws(Problem) -> FileMetadata {
        let attributes = try find(path)
        var metadata = FileMetadata(attributes, name: path.components.last ?? [])
        if attributes.type == .symbolicLink {
            var target = [UInt8](repeating: 0, count: 4096)
            let count = try engine { (files) throws(Errno) in
                try target.withMutableBytes { (buffer) throws(Errno) in try files.readSymbolicLink(attributes.inode, into: buffer) }
            }
            metadata.target = String(decoding: target.prefix(count), as: UTF8.self)
        }
        return metadata
    }

    struct Transferred: Sendable {
        var metadata: FileMetadata
        var isNew: Bool
    }

    /// Atomic; durable when it returns.
    func move(_ from: RequestPath, to: RequestPath, overwrites: Bool) throws(Problem) -> Transferred {
        guard let oldName = from.components.last, let newName = to.components.last else { throw Problem(.resourceBusy) }
        let oldParent = try engine { (files) throws(Errno) in try find(from.parent, in: files, retaining: false) }.inode
        // Found before parents are made: what is not there makes no directories.
        let source = try find(from)
        if from.namesDirectory || to.namesDirectory, source.type != .directory { throw Problem(.notDirectory) }
        let newParent = try makeDirectories(to.parent).inode
        var existed = false
        try engine { (files) throws(Errno) in
            do throws(Errno) {
                try oldName.withBytes { (old) throws(Errno) in
                    try newName.withBytes { (new) throws(Errno) in
                        try files.rename(oldParent, old, to: newParent, new, flags: .noReplace)
                    }
                }
            } catch {
                guard error == .fileExists, overwrites else { throw error }
                existed = true
                try oldName.withBytes { (old) throws(Errno) in
                    try newName.withBytes { (new) throws(Errno) in try files.rename(oldParent, old, to: newParent, new) }
                }
            }
        }
        entryChanged(oldParent, oldName)
        entryChanged(newParent, newName)
        try synchronize()
        let attributes = try engine { (files) throws(Errno) in try files.attributes(source.inode) }
        return Transferred(metadata: FileMetadata(attributes, name: newName), isNew: !existed)
    }

    /// Of one file, whole or nothing; durable when it returns. The copy is written by the user.
    func copy(_ from: RequestPath, to: RequestPath, overwrites: Bool, by user: User) throws(Problem) -> Transferred {
        guard let name = to.components.last else { throw Problem(.isDirectory) }
        let source = try find(from, retaining: true)
        defer { release(source.inode) }
        guard source.type == .regular else { throw Problem(.conflict, "not-a-file", "only files are copied") }
        if from.namesDirectory || to.namesDirectory { throw Problem(.notDirectory) }
        let claim = try claim(for: user, replacing: to, inParts: false)
        try claim?.grow(by: source.sizeBytes)
        let directory = try makeDirectories(to.parent).inode
        let inode = try makeUnnamed(directory, mode: source.permissions, group: user.group)
        defer { release(inode) }
        claim?.attach(to: inode)
        let copied = try engine { (files) throws(Errno) in
            try files.copyRange(from: source.inode, at: 0, to: inode, at: 0, length: source.sizeBytes)
        }
        guard copied == source.sizeBytes else { throw Problem(.conflict, "conflict", "the file was changed while it was copied") }
        let published = try publish(inode, as: name, in: directory, modified: source.modificationTime, keepsMode: false) { existing in
            existing == nil || overwrites ? claim?.refuses(replacing: existing) : Problem(.fileExists)
        }
        return Transferred(metadata: FileMetadata(published.attributes, name: name), isNew: published.isNew)
    }
}
