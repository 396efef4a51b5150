import Records
public import SystemPackage

// MARK: Names
extension FileSystem {
    /// The place of a name in its directory, and its cookie: 3 to 2^63-1, since 1 and 2 are "." and "..".
    func hash(_ name: UnsafeRawBufferPointer) -> UInt64 { Self.cookie(of: environment.nameHash(name)) }

    static func cookie(of nameHash: UInt64) -> UInt64 {
        let hash = nameHash & (UInt64.max >> 1)
        return hash < 3 ? hash + 3 : hash
    }

    /// ENAMETOOLONG, ENOENT for an empty name, EINVAL for what no name may hold.
    func validate(_ name: UnsafeRawBufferPointer) throws(Errno) {
        if name.count > FileLimits.maximumNameBytes { throw .fileNameTooLong }
        if name.isEmpty { throw .noSuchFileOrDirectory }
        for byte in name where byte == 0 || byte == UInt8(ascii: "/") { throw .invalidArgument }
    }

    static func isDot(_ name: UnsafeRawBufferPointer) -> Bool { name.count == 1 && name[0] == UInt8(ascii: ".") }
    static func isDotDot(_ name: UnsafeRawBufferPointer) -> Bool {
        name.count == 2 && name[0] == UInt8(ascii: ".") && name[1] == UInt8(ascii: ".")
    }

    /// The entry as the store has it. Stable only under the directory's lock.
    func entry(_ directory: UInt64, _ hash: UInt64, _ name: UnsafeRawBufferPointer) throws(Errno) -> Dirent? {
        var dirent: Dirent?
        guard try get(Keys.dirent(directory, hash, name), { dirent = Dirent.decode($0) }) else { return nil }
        guard let dirent else { throw damaged("a directory entry cannot be read", directory) }
        return dirent
    }

    /// ENOTDIR.
    func requireDirectory(_ inode: Inode) throws(Errno) {
        if !inode.isDirectory { throw .notDirectory }
    }

    /// ENOTDIR, and ENOENT for a directory that was removed.
    func requireLiveDirectory(_ inode: Inode) throws(Errno) {
        try requireDirectory(inode)
        if inode.linkCount == 0 { throw .noSuchFileOrDirectory }
    }
}

extension FileSystem {
    /// The inode of a name in a directory; "." and ".." are known. ENOENT, ENOTDIR, ENAMETOOLONG.
    /// - Parameter retaining: adds one to the inode's lookup count, atomically with finding it.
    public func lookup(_ directory: InodeID, _ name: UnsafeRawBufferPointer, retaining: Bool) throws(Errno) -> Attributes {
        if Self.isDot(name) { return try present(directory.rawValue, retaining) }
        let id = directory.rawValue
        let parent = try withInode(id) { (_, found) throws(Errno) in found }
        try requireDirectory(parent)
        if Self.isDotDot(name) { return try present(parent.parent, retaining) }
        try validate(name)
        let hash = hash(name)
        // The entry is read without the lock. If its inode has lost this name before it could be retained, the entry is gone too.
        for _ in 0..<Self.lookupAttemptLimit {
            guard let dirent = try entry(id, hash, name) else { throw .noSuchFileOrDirectory }
            if let attributes = try found(dirent.inode, retaining: retaining) { return attributes }
        }
        throw damaged("an entry of the directory leads nowhere", id)
    }

    private static let lookupAttemptLimit = 100

    private func present(_ id: UInt64, _ retaining: Bool) throws(Errno) -> Attributes {
        guard let attributes = try found(id, retaining: retaining) else { throw .staleNFSFileHandle }
        return attributes
    }

    /// Nil if the inode is gone, or has no name and nobody who holds it.
    func found(_ id: UInt64, retaining: Bool) throws(Errno) -> Attributes? {
        try warm(id)
        let stripe = stripe(id)
        stripe.lock()
        defer { stripe.unlock() }
        guard let inode = try inodeIfPresent(id, stripe), inode.linkCount > 0 || stripe.counts.isRetained(id) else { return nil }
        if retaining { stripe.counts.retain(id) }
        return inode.attributes(InodeID(id))
    }

    /// Copies the target into `output`, cut to its size, and returns the target's length (1 to 4095).
    public func readSymbolicLink(_ inode: InodeID, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        let id = inode.rawValue
        let found = try withInode(id) { (_, found) throws(Errno) in found }
        guard found.type == .symbolicLink else { throw .invalidArgument }
        // A target never changes, so no lock is needed.
        var count = 0
        let isThere = try get(Keys.inline(id)) { target in
            count = target.count
            output.copyMemory(from: UnsafeRawBufferPointer(rebasing: target[..<min(count, output.count)]))
        }
        guard isThere, UInt64(count) == found.size else { throw damaged("the target of the symbolic link cannot be read", id) }
        noteAccess(id, found)
        return count
    }
}
