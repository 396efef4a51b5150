import FileSystem
import Syscalls
import SystemPackage

extension ServedFileSystem {
    struct Page: Sendable {
        var entries: [FileMetadata]
        /// Continue after this; nil at the end.
        var next: UInt64?
    }

    /// Up to `limit` entries after the cookie.
    func list(_ directory: InodeID, after cookie: UInt64, limit: Int, hidesOwn: Bool) throws(Problem) -> Page {
        var page = Page(entries: [], next: nil)
        var last = max(cookie, 2)
        try engine { (files) throws(Errno) in
            try files.listDirectory(directory, after: last, withAttributes: true, retaining: false) { entry in
                if page.entries.count >= limit {
                    page.next = last
                    return false
                }
                last = entry.cookie
                let name = Array(entry.name)
                guard let attributes = entry.attributes, !(hidesOwn && name == RequestPath.ownDirectory) else { return true }
                page.entries.append(FileMetadata(attributes, name: name))
                return true
            }
        }
        return page
    }

    /// As `list`, with what was written through the mount so far.
    func listSettled(_ directory: InodeID, after cookie: UInt64, limit: Int, hidesOwn: Bool) throws(Problem) -> Page {
        let page = try list(directory, after: cookie, limit: limit, hidesOwn: hidesOwn)
        guard let observer else { return page }
        var held = false
        for entry in page.entries where observer.mayHoldWrites(entry.inode) {
            observer.writeBack(entry.inode)
            held = true
        }
        return held ? try list(directory, after: cookie, limit: limit, hidesOwn: hidesOwn) : page
    }

    /// Deletes what is at the path, durably. `refuses` sees its attributes before.
    func delete(_ path: RequestPath, recursively: Bool, refuses: (Attributes) -> Problem?) throws(Problem) {
        try changing { () throws(Problem) in try deleteChanging(path, recursively, refuses) }
    }

    private func deleteChanging(_ path: RequestPath, _ recursively: Bool, _ refuses: (Attributes) -> Problem?) throws(Problem) {
        guard let name = path.components.last else { throw Problem(.resourceBusy) }
        let directory = try engine { (files) throws(Errno) in
            try find(path.parent, in: files, retaining: false)
        }
        guard directory.type == .directory else { throw .notFound }
        let target = try settled(
            try engine { (files) throws(Errno) in
                try name.withBytes { (name) throws(Errno) in try files.lookup(directory.inode, name, retaining: false) }
            })
        if let refusal = refuses(target) { throw refusal }
        if path.namesDirectory, target.type != .directory { throw Problem(.notDirectory) }
        if target.type == .directory {
            if recursively { try empty(target.inode) }
            try engine { (files) throws(Errno) in
                try name.withBytes { (name) throws(Errno) in try files.removeDirectory(directory.inode, name) }
            }
        } else {
            try engine { (files) throws(Errno) in try name.withBytes { (name) throws(Errno) in try files.unlink(directory.inode, name) } }
        }
        entryChanged(directory.inode, name)
        attributesChanged(target.inode)
        try synchronize()
    }

    /// Deletes everything in the directory, depth first, without recursion: a tree may be deeper than a stack.
    private func empty(_ root: InodeID) throws(Problem) {
        var open: [(directory: InodeID, name: [UInt8])] = [(root, [])]
        while let (directory, name) = open.last {
            if let child = try removeFiles(of: directory) {
                open.append(child)
                continue
            }
            open.removeLast()
            guard let parent = open.last?.directory else { return }
            try engine { (files) throws(Errno) in
                try name.withBytes { (name) throws(Errno) in try files.removeDirectory(parent, name) }
            }
            entryChanged(parent, name)
        }
    }

    /// Deletes what is no directory; returns a directory that is left, if there is one.
    private func removeFiles(of directory: InodeID) throws(Problem) -> (directory: InodeID, name: [UInt8])? {
        while true {
            var names: [[UInt8]] = []
            var child: (InodeID, [UInt8])?
            try engine { (files) throws(Errno) in
                try files.listDirectory(directory, after: 2, withAttributes: false, retaining: false) { entry in
                    if entry.type == .directory { child = (entry.inode, Array(entry.name)) } else { names.append(Array(entry.name)) }
                    return names.count < 256
                }
            }
            if names.isEmpty { return child }
            for name in names {
                try engine { (files) throws(Errno) in try name.withBytes { (name) throws(Errno) in try files.unlink(directory, name) } }
                entryChanged(directory, name)
            }
        }
    }
}
