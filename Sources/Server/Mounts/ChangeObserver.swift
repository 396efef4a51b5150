import FileSystem
import SystemPackage

/// A mount of the same volume in this process: what has to be told of changes behind its back, and what has to be asked before its files
/// are read. Called on engine threads, with no lock held.
protocol ChangeObserver: Sendable {
    /// From before a change is visible until after `settle`.
    func beginChange()
    func endChange()
    /// The name in the directory means something else now, or nothing, or something for the first time.
    func entryChanged(_ directory: InodeID, _ name: [UInt8])
    /// Attributes of the inode changed.
    func attributesChanged(_ inode: InodeID)
    /// Returns when all that was said has arrived.
    func settle()
    /// Whether there may be bytes of the file that were written there and are not in the volume yet.
    func mayHoldWrites(_ inode: InodeID) -> Bool
    /// Returns when those bytes are in the volume.
    func writeBack(_ inode: InodeID)
    /// Ends it; nothing of it uses the volume afterwards.
    func end()
}

extension ServedFileSystem {
    /// Makes a change. When this returns, whoever uses the mount sees it, and so the answer may be sent.
    func changing<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        guard let observer else { return try body() }
        observer.beginChange()
        defer {
            observer.settle()
            observer.endChange()
        }
        return try body()
    }

    func entryChanged(_ directory: InodeID, _ name: [UInt8]) { observer?.entryChanged(directory, name) }

    func attributesChanged(_ inode: InodeID) { observer?.attributesChanged(inode) }

    /// The attributes as they are once everything that was written in the mount has arrived here.
    func settled(_ attributes: Attributes) throws(Problem) -> Attributes {
        guard attributes.type == .regular, let observer, observer.mayHoldWrites(attributes.inode) else { return attributes }
        observer.writeBack(attributes.inode)
        return try engine { (files) throws(Errno) in try files.attributes(attributes.inode) }
    }
}

extension ServedFileSystem {
    /// Changes attributes of what is at the path, durably.
    func setAttributes(_ attributes: Attributes, _ changes: AttributeChanges, _ path: RequestPath) throws(Problem) {
        try changing { () throws(Problem) in
            _ = try engine { (files) throws(Errno) in try files.setAttributes(attributes.inode, changes) }
            attributesChanged(attributes.inode)
            // The kernel keeps the times of a file that it caches; once it has no name for it, it asks again.
            if attributes.type == .regular, let name = path.components.last,
                let parent = try? engine({ (files) throws(Errno) in try find(path.parent, in: files, retaining: false) })
            {
                entryChanged(parent.inode, name)
            }
            try engine { (files) throws(Errno) in try files.synchronize(attributes.inode, dataOnly: false) }
        }
    }
}
