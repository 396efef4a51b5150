import Glibc
import Syscalls
import SystemPackage

/// A blob that is a file.
final class FileBlob: WritableBlob {
    private let descriptor: OwnedDescriptor
    private let name: String

    init(_ descriptor: OwnedDescriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        do { return try descriptor.read(at: offset, into: buffer) } catch { throw Failure(systemCall: "reading", object: name, error) }
    }

    func sizeBytes() throws(Failure) -> UInt64 {
        do { return UInt64(max(0, try descriptor.status().st_size)) } catch { throw Failure(systemCall: "stat", object: name, error) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        do { try descriptor.write(bytes, at: offset) } catch { throw Failure(systemCall: "writing", object: name, error) }
    }

    func sync() throws(Failure) {
        do { try descriptor.syncData() } catch { throw Failure(systemCall: "fdatasync", object: name, error) }
    }

    func truncate(to sizeBytes: UInt64) throws(Failure) {
        do { try descriptor.truncate(to: sizeBytes) } catch { throw Failure(systemCall: "truncating", object: name, error) }
    }

    func allocate(_ range: Range<UInt64>) throws(Failure) {
        do {
            // Large ranges are asked for where a small one will do.
            if range.count > 1 << 20 {
                try descriptor.allocate(range)
            } else {
                try descriptor.retryingQuota { () throws(Errno) in try descriptor.allocate(range) }
            }
        } catch  where error == .notSupported || error == .invalidArgument {
            return
        } catch { throw Failure(systemCall: "allocating", object: name, error) }
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

extension OwnedDescriptor {
    /// Tries again after all of the file system is written, where a quota is used up: btrfs counts what was deleted until then.
    func retryingQuota<T: ~Copyable>(_ body: () throws(Errno) -> T) throws(Errno) -> T {
        do { return try body() } catch {
            guard error == .diskQuotaExceeded else { throw error }
            try syncFileSystem()
            return try body()
        }
    }
}
