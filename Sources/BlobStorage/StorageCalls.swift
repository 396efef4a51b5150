import Glibc
package import Syscalls
package import SystemPackage

/// The system calls that `DirectoryStorage` makes of an open file. The real ones are `OwnedDescriptor`'s; tests put a simulated disk in
/// their place, which loses what was not synced and fails when it is told to. Thread-safe as far as the kernel's calls are.
package protocol StorageFile: AnyObject, Sendable {
    /// Repeated until the buffer is full or the file ends.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int
    /// Repeated until all is written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno)
    /// fdatasync(2).
    func syncData() throws(Errno)
    /// fsync(2).
    func sync() throws(Errno)
    func truncate(to sizeBytes: UInt64) throws(Errno)
    /// fallocate(2) with mode 0.
    func allocate(_ range: Range<UInt64>) throws(Errno)
    func facts() throws(Errno) -> StorageFileFacts
    /// syncfs(2): all of the file system that the file is on.
    func syncFileSystem() throws(Errno)
    /// What the file system says is free for this process; nil if it does not.
    func freeBytes() -> UInt64?
    /// flock(2) without waiting; false if another open file holds a lock that excludes it.
    func tryLock(exclusive: Bool) throws(Errno) -> Bool
    /// flock(2), exclusive; waits.
    func lockWaiting() throws(Errno)
    /// flock(2) with LOCK_UN: free at once, also while a child that is being started still has a copy of the descriptor.
    func unlock()
}

/// What fstat(2) says of a file, as far as it matters here.
package struct StorageFileFacts: Sendable, Equatable {
    package var isPlain: Bool
    package var linkCount: Int
    package var sizeBytes: UInt64
    /// Device and inode: the same for the same file.
    package var identity: [UInt64]

    package init(isPlain: Bool, linkCount: Int, sizeBytes: UInt64, identity: [UInt64]) {
        self.isPlain = isPlain
        self.linkCount = linkCount
        self.sizeBytes = sizeBytes
        self.identity = identity
    }
}

/// The system calls that `DirectoryStorage` makes of an open directory. Names are relative to it.
package protocol StorageFolder: AnyObject, Sendable {
    /// openat(2), with O_CLOEXEC; a file that is made has mode 0600.
    func openFile(_ name: String, _ flags: CInt) throws(Errno) -> any StorageFile
    /// openat(2) of a directory, without following a link.
    func openFolder(_ name: String) throws(Errno) -> any StorageFolder
    /// mkdirat(2) with mode 0700.
    func makeFolder(_ name: String) throws(Errno)
    /// unlinkat(2) with AT_REMOVEDIR.
    func removeFolder(_ name: String) throws(Errno)
    func unlink(_ name: String) throws(Errno)
    /// renameat(2) within the directory.
    func rename(_ name: String, to new: String) throws(Errno)
    /// fsync(2): the entries are on stable storage.
    func sync() throws(Errno)
    /// In no order, without `.` and `..`.
    func names() throws(Errno) -> [String]
    /// fstatat(2) without following a link; nil if there is no such name.
    func facts(of name: String) throws(Errno) -> StorageFileFacts?
    func capacity() throws(Errno) -> StorageCapacity
}

extension StorageFileFacts {
    fileprivate init(_ status: stat) {
        self.init(
            isPlain: status.st_mode & S_IFMT == S_IFREG, linkCount: Int(status.st_nlink), sizeBytes: UInt64(max(0, status.st_size)),
            identity: [UInt64(status.st_dev), UInt64(status.st_ino)])
    }
}

extension OwnedDescriptor: StorageFile {
    package func facts() throws(Errno) -> StorageFileFacts { StorageFileFacts(try status()) }

    package func freeBytes() -> UInt64? {
        var facts = statvfs()
        if fstatvfs(rawValue, &facts) != 0 { return nil }
        return UInt64(geteuid() == 0 ? facts.f_bfree : facts.f_bavail) * UInt64(facts.f_frsize)
    }

    package func lockWaiting() throws(Errno) { _ = try retrying { flock(rawValue, LOCK_EX) } }
    package func unlock() { flock(rawValue, LOCK_UN) }
}

extension OwnedDescriptor: StorageFolder {
    package func openFile(_ name: String, _ flags: CInt) throws(Errno) -> any StorageFile {
        try retryingQuota { () throws(Errno) in try OwnedDescriptor.open(name, at: self, flags) }
    }

    package func openFolder(_ name: String) throws(Errno) -> any StorageFolder {
        try OwnedDescriptor.open(name, at: self, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    package func makeFolder(_ name: String) throws(Errno) {
        try retryingQuota { () throws(Errno) in if mkdirat(rawValue, name, 0o700) != 0 { throw Errno.current } }
    }
    package func removeFolder(_ name: String) throws(Errno) { if unlinkat(rawValue, name, AT_REMOVEDIR) != 0 { throw Errno.current } }
    package func unlink(_ name: String) throws(Errno) { if unlinkat(rawValue, name, 0) != 0 { throw Errno.current } }

    package func rename(_ name: String, to new: String) throws(Errno) {
        if renameat(rawValue, name, rawValue, new) != 0 { throw Errno.current }
    }

    package func names() throws(Errno) -> [String] { try directoryNames(".", at: self) }

    package func facts(of name: String) throws(Errno) -> StorageFileFacts? {
        var status = stat()
        if fstatat(rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return StorageFileFacts(status) }
        if errno == ENOENT { return nil }
        throw Errno.current
    }

    package func capacity() throws(Errno) -> StorageCapacity {
        var facts = statvfs()
        if fstatvfs(rawValue, &facts) != 0 { throw Errno.current }
        let unit = UInt64(facts.f_frsize)
        // Some file systems keep blocks that only root may take.
        let free = geteuid() == 0 ? facts.f_bfree : facts.f_bavail
        return StorageCapacity(
            totalBytes: UInt64(facts.f_blocks) * unit, availableBytes: UInt64(free) * unit,
            availableToUsersBytes: UInt64(facts.f_bavail) * unit)
    }
}

extension StorageFile {
    /// Tries again after all of the file system is written, where a quota is used up: btrfs counts what was deleted until then.
    func retryingQuota<T>(_ body: () throws(Errno) -> T) throws(Errno) -> T {
        do { return try body() } catch {
            guard error == .diskQuotaExceeded else { throw error }
            try syncFileSystem()
            return try body()
        }
    }
}

extension OwnedDescriptor {
    private static let copyOnWriteMagics: Set<UInt> = [
        0x9123_683E,  // btrfs
        0x2FC1_2FC1,  // ZFS
        0xCA45_1A4E,  // bcachefs
    ]

    /// False on file systems that write every change to a new place.
    var overwritesInPlace: Bool { !Self.copyOnWriteMagics.contains(fileSystemMagic) }
}
