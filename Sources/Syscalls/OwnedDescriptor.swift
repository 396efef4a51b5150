import CSyscalls
public import Glibc
public import SystemPackage

/// A file descriptor that is closed when the last reference goes. Its calls are the system calls of the same name, repeated
/// when a signal interrupts them. Thread-safe as far as the kernel's calls are.
public final class OwnedDescriptor: Sendable {
    public let rawValue: CInt

    public init(adopting descriptor: CInt) { rawValue = descriptor }

    deinit { _ = Glibc.close(rawValue) }

    /// openat(2); O_CLOEXEC is always added. `directory` nil means the working directory.
    public static func open(
        _ path: String, at directory: OwnedDescriptor? = nil, _ flags: CInt, mode: mode_t = 0o600
    ) throws(Errno) -> OwnedDescriptor {
        let base = directory?.rawValue ?? AT_FDCWD
        return OwnedDescriptor(adopting: try retrying { efs_open(base, path, flags | O_CLOEXEC, mode) })
    }

    /// As above, for a path that need not be UTF-8: its bytes, and the 0 that ends them.
    public static func open(path: [CChar], _ flags: CInt, mode: mode_t = 0o600) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try retrying { efs_open(AT_FDCWD, path, flags | O_CLOEXEC, mode) })
    }

    /// pread(2), repeated until the buffer is full or the file ends.
    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retryingCount {
                pread(rawValue, buffer.baseAddress! + done, buffer.count - done, off_t(truncatingIfNeeded: offset) + off_t(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// pwrite(2), repeated until all is written.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let count = try retryingCount {
                pwrite(rawValue, bytes.baseAddress! + done, bytes.count - done, off_t(truncatingIfNeeded: offset) + off_t(done))
            }
            done += count
        }
    }

    /// fdatasync(2). Never repeated after an error: the kernel may have dropped the pages that it could not write.
    public func syncData() throws(Errno) { if fdatasync(rawValue) != 0 { throw Errno.current } }

    /// fsync(2), for files and directories.
    public func sync() throws(Errno) { if fsync(rawValue) != 0 { throw Errno.current } }

    public func truncate(to sizeBytes: UInt64) throws(Errno) {
        _ = try retrying { ftruncate(rawValue, off_t(truncatingIfNeeded: sizeBytes)) }
    }

    /// fallocate(2) with mode 0: blocks for the range, so that writing there cannot run out of room.
    public func allocate(_ range: Range<UInt64>) throws(Errno) {
        _ = try retrying {
            efs_fallocate(rawValue, 0, Int64(range.lowerBound), Int64(range.count))
        }
    }

    /// The magic number of the file system that the file is on, as in linux/magic.h; 0 if it is not told.
    public var fileSystemMagic: UInt { efs_file_system_magic(rawValue) }

    /// syncfs(2): the kernel writes back everything that it has cached of the file's file system.
    public func syncFileSystem() throws(Errno) { if efs_syncfs(rawValue) != 0 { throw Errno.current } }

    /// Reads and writes give EAGAIN from now on where they would wait.
    public func setNonBlocking() throws(Errno) { _ = try retrying { efs_set_nonblocking(rawValue) } }

    public func status() throws(Errno) -> stat {
        var result = stat()
        if fstat(rawValue, &result) != 0 { throw Errno.current }
        return result
    }

    /// For targets that have Foundation among their imports: where that is linked statically, members of `stat` count as its own.
    public func sizeBytes() throws(Errno) -> UInt64 { UInt64(try status().st_size) }

    /// flock(2) without waiting; false if another open file holds a lock that excludes it.
    public func tryLock(exclusive: Bool) throws(Errno) -> Bool {
        if flock(rawValue, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw Errno.current
    }
}

/// Calls again as long as a signal interrupts; throws the error number otherwise.
public func retrying(_ call: () -> CInt) throws(Errno) -> CInt {
    while true {
        let result = call()
        if result >= 0 { return result }
        if errno != EINTR { throw Errno.current }
    }
}

/// As `retrying`, for calls that return a number of bytes.
public func retryingCount(_ call: () -> Int) throws(Errno) -> Int {
    while true {
        let result = call()
        if result >= 0 { return result }
        if errno != EINTR { throw Errno.current }
    }
}

extension Errno {
    /// The calling thread's errno.
    public static var current: Errno { Errno(rawValue: errno) }
}
