import Glibc
import Synchronization
import Syscalls
import SystemPackage

/// A blob that is a file.
final class FileBlob: WritableBlob {
    /// fallocate(2), or in a test what storage without it does.
    typealias Allocation = @Sendable (any StorageFile, Range<UInt64>) throws(Errno) -> Void

    private let descriptor: any StorageFile
    private let name: String
    private let allocation: Allocation
    /// After a sync that failed nothing that was written before can be relied on any more, and the kernel tells it only once.
    private let failedSync = Mutex<Failure?>(nil)

    init(
        _ descriptor: any StorageFile, name: String,
        allocation: @escaping Allocation = { (file, range) throws(Errno) in try file.allocate(range) }
    ) {
        self.descriptor = descriptor
        self.name = name
        self.allocation = allocation
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        do { return try descriptor.read(at: offset, into: buffer) } catch { throw Failure(systemCall: "reading", object: name, error) }
    }

    func sizeBytes() throws(Failure) -> UInt64 {
        do { return try descriptor.facts().sizeBytes } catch { throw Failure(systemCall: "stat", object: name, error) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        do { try descriptor.retryingQuota { () throws(Errno) in try descriptor.write(bytes, at: offset) } } catch {
            throw Failure(systemCall: "writing", object: name, error)
        }
    }

    func sync() throws(Failure) {
        if let failure = failedSync.withLock({ $0 }) { throw failure }
        do { try descriptor.syncData() } catch {
            let failure = Failure(systemCall: "fdatasync", object: name, error)
            failedSync.withLock { $0 = $0 ?? failure }
            throw failure
        }
    }

    func truncate(to sizeBytes: UInt64) throws(Failure) {
        do { try descriptor.truncate(to: sizeBytes) } catch { throw Failure(systemCall: "truncating", object: name, error) }
    }

    func allocate(_ range: Range<UInt64>) throws(Failure) {
        if range.isEmpty { return }
        do { try descriptor.retryingQuota { () throws(Errno) in try allocation(descriptor, range) } } catch
            where error == .notSupported || error == .invalidArgument
        {
            try allocateByWriting(range)
        } catch { throw Failure(systemCall: "allocating", object: name, error) }
    }

    /// Where there is no fallocate(2) (NFS before 4.2, some FUSE file systems): zeros from the end of the file on. They are synced, since
    /// a file server may say only then that it has no room.
    private func allocateByWriting(_ range: Range<UInt64>) throws(Failure) {
        let start = max(range.lowerBound, try sizeBytes())
        guard start < range.upperBound else { return }
        // A sync that fails for want of room would cost what was written before, too: it is only tried where there should be some.
        if let free = descriptor.freeBytes(), free < range.upperBound - start {
            throw Failure(systemCall: "allocating", object: name, .noSpace)
        }
        try zeroFill(start..<range.upperBound)
        try sync()
    }

    func zeroFill(_ range: Range<UInt64>) throws(Failure) {
        let piece = 1 << 20
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: min(piece, Int(range.count)), alignment: 4096)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var at = range.lowerBound
        while at < range.upperBound {
            let count = min(UInt64(zeros.count), range.upperBound - at)
            try write(UnsafeRawBufferPointer(rebasing: zeros[0..<Int(count)]), at: at)
            at += count
        }
    }
}
