public import Sealing
public import Syscalls

/// Writes a tree into a store, all of it or nothing: it grows in a directory of its own beside its place (`.efs-untar-…`), and is
/// moved there by `commit`, if no name that it brings is taken. `abort` removes it. (A process that is killed leaves that
/// directory behind.)
///
/// Directories get their attributes when the entries leave them: what is made in one changes its times, and may not be allowed.
/// If they come back to it, it keeps what it had. So memory depends on the depth of the tree, not on its size.
public final class TreeRestorer<Store: TreeStore> {
    /// A directory that is open, and what it will be.
    private struct Level {
        var name: [UInt8]
        var directory: Store.Directory
        /// Nil for one that the archive has not named: it keeps what it was made with.
        var attributes: ArchiveEntry?
    }

    private let store: Store
    private let destination: Store.Directory
    private let stageName: [UInt8]
    private let stage: Store.Directory
    private var levels: [Level] = []
    private var root: ArchiveEntry?
    private var current: (file: Store.File, entry: ArchiveEntry)?

    public init(_ store: Store, random: RandomSource = .system) throws(Failure) {
        self.store = store
        destination = try store.destination()
        stageName = Array((".efs-untar-" + String(random.next(), radix: 16)).utf8)
        do throws(Failure) { stage = try store.makeDirectory(stageName, in: destination) } catch {
            try? store.removeMadeDestination()
            throw error
        }
    }

    /// Adds an entry. The content of a regular file follows, in `write`.
    public func add(_ entry: ArchiveEntry) throws(Failure) {
        try finishFile()
        try naming(entry.path) { () throws(Failure) in
            guard var names = TreePath.components(entry.path) else { throw Failure(.damaged, "leads out of the tree") }
            guard let name = names.popLast() else {
                guard entry.isDirectory else { throw Failure(.damaged, "the archive's root is no directory") }
                root = entry
                return
            }
            try enter(names)
            switch entry.kind {
            case .directory: try addDirectory(name, entry)
            case .regular:
                let directory = self.directory
                let file = try replacing(name) { () throws(Failure) in try store.makeFile(name, in: directory) }
                current = (file, entry)
            case .hardLink(let path): try addLink(name, to: path)
            case .symbolicLink, .characterDevice, .blockDevice, .fifo:
                let directory = self.directory
                try replacing(name) { () throws(Failure) in try store.makeNode(name, in: directory, as: entry) }
            }
        }
    }

    /// Content of the file that was added last. What is not written is a hole.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        guard let current, case .regular(let size, _) = current.entry.kind else { preconditionFailure("a regular file was added") }
        try naming(current.entry.path) { () throws(Failure) in
            guard offset <= size, UInt64(bytes.count) <= size - offset else {
                throw Failure(.damaged, "the archive is damaged: it has more of the file than the file's size")
            }
            try store.write(bytes, at: offset, to: current.file)
        }
    }

    /// Moves the tree to its place. If that fails, nothing is there and `abort` is due.
    public func commit() throws(Failure) {
        try finishFile()
        try leave(to: 0)
        // Each name that the tree brings is checked before the first is moved.
        let names = try store.names(in: stage, limit: .max)
        for name in names where try store.contains(name, in: destination) {
            throw Failure(
                .alreadyExists, "is there already; nothing was restored", object: ArchiveEntry.display(name),
                hint: "restore into an empty directory")
        }
        let wasEmpty = try store.names(in: destination, limit: 2).count == 1
        var moved: [[UInt8]] = []
        do throws(Failure) {
            for name in names {
                try naming(name) { () throws(Failure) in try store.move(name, in: stage, to: name, in: destination) }
                moved.append(name)
            }
            try store.removeDirectory(stageName, in: destination)
        } catch {
            for name in moved { try? store.move(name, in: destination, to: name, in: stage) }
            throw error
        }
        if wasEmpty, let root { try store.setAttributes(of: destination, to: root) }
    }

    /// Removes all that was written. A failure to do so is not reported: there is one already.
    public func abort() {
        current = nil
        levels = []
        try? removeContents(of: stage)
        try? store.removeDirectory(stageName, in: destination)
        try? store.removeMadeDestination()
    }
}

// MARK: Directories
extension TreeRestorer {
    private var directory: Store.Directory { levels.last?.directory ?? stage }

    /// Makes the directory of these names the current one. Directories that the archive has not named are made.
    private func enter(_ names: [[UInt8]]) throws(Failure) {
        var common = 0
        while common < min(names.count, levels.count), levels[common].name == names[common] { common += 1 }
        try leave(to: common)
        for name in names[common...] {
            do throws(Failure) { try reopen(name) } catch {
                guard error.kind == .missing else { throw error }
                levels.append(Level(name: name, directory: try store.makeDirectory(name, in: directory), attributes: implied(name)))
            }
        }
    }

    /// What a directory is that the archive does not name.
    private func implied(_ name: [UInt8]) -> ArchiveEntry? {
        guard var entry = try? store.attributes(of: stage) else { return nil }
        entry.permissions = 0o755
        entry.modificationTime = nil
        entry.accessTime = nil
        return entry
    }

    /// Enters a directory that is there, and notes what it is, to be set again.
    private func reopen(_ name: [UInt8]) throws(Failure) {
        let opened = try store.openDirectory(name, in: directory)
        let attributes = try store.attributes(of: opened)
        if attributes.permissions & 0o300 != 0o300 {
            var writable = attributes
            writable.permissions |= 0o700
            try store.setAttributes(of: opened, to: writable)
        }
        levels.append(Level(name: name, directory: opened, attributes: attributes))
    }

    private func leave(to count: Int) throws(Failure) {
        while levels.count > count {
            let level = levels.removeLast()
            guard let attributes = level.attributes else { continue }
            try naming(attributes.path) { () throws(Failure) in try store.setAttributes(of: level.directory, to: attributes) }
        }
    }

    private func addDirectory(_ name: [UInt8], _ entry: ArchiveEntry) throws(Failure) {
        do throws(Failure) {
            levels.append(Level(name: name, directory: try store.makeDirectory(name, in: directory), attributes: entry))
        } catch {
            guard error.kind == .alreadyExists else { throw error }
            try reopen(name)
            levels[levels.count - 1].attributes = entry
        }
    }

    private func addLink(_ name: [UInt8], to path: [UInt8]) throws(Failure) {
        guard var names = TreePath.components(path), let target = names.popLast() else {
            throw Failure(.damaged, "the archive is damaged: a hard link leads nowhere")
        }
        let own = directory
        do throws(Failure) {
            var place = stage
            for name in names { place = try store.openDirectory(name, in: place) }
            let source = place
            try replacing(name) { () throws(Failure) in try store.link(target, in: source, to: name, in: own) }
        } catch {
            guard error.kind == .missing else { throw error }
            throw Failure(
                .damaged, "is a hard link to what the archive has not shown before: \(ArchiveEntry.display(path))",
                hint: "an archive of changes alone cannot be restored by itself")
        }
    }

    /// An archive may hold a name several times; the last counts.
    private func replacing<R>(_ name: [UInt8], _ make: () throws(Failure) -> R) throws(Failure) -> R {
        do throws(Failure) { return try make() } catch {
            guard error.kind == .alreadyExists else { throw error }
            try store.unlink(name, in: directory)
            return try make()
        }
    }

    private func finishFile() throws(Failure) {
        guard let (file, entry) = current else { return }
        current = nil
        try naming(entry.path) { () throws(Failure) in try store.finish(file, as: entry) }
    }

    private func removeContents(of directory: Store.Directory) throws(Failure) {
        while true {
            let names = try store.names(in: directory, limit: 512)
            if names.isEmpty { return }
            for name in names { try remove(name, in: directory) }
        }
    }

    private func remove(_ name: [UInt8], in directory: Store.Directory) throws(Failure) {
        do throws(Failure) { try store.unlink(name, in: directory) } catch {
            guard error.kind == .notEmpty else { throw error }
            let inner = try store.openDirectory(name, in: directory)
            var writable = try store.attributes(of: inner)
            writable.permissions = 0o700
            try store.setAttributes(of: inner, to: writable)
            try removeContents(of: inner)
            try store.removeDirectory(name, in: directory)
        }
    }

    /// Says which path it was about, where the failure does not.
    private func naming<R>(_ path: [UInt8], _ body: () throws(Failure) -> R) throws(Failure) -> R {
        do throws(Failure) { return try body() } catch {
            var failure = error
            failure.object = ArchiveEntry.display(path)
            throw failure
        }
    }
}
