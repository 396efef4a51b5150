import Synchronization
public import Syscalls
import SystemPackage

/// Blobs in memory: for tests and for volumes that need not outlive their process.
public final class MemoryStorage: BlobStorage {
    private struct State {
        var blobs: [BlobID: MemoryBlob] = [:]
        var files: [String: MemoryBlob] = [:]
    }

    public let name: String
    public let isReadOnly = false
    private let state = Mutex(State())
    private let capacityBytes: UInt64

    public init(name: String = "memory", capacityBytes: UInt64 = 1 << 40) {
        self.name = name
        self.capacityBytes = capacityBytes
    }

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let blob = MemoryBlob(name: "\(name)/\(id)")
        let isNew = state.withLock { state in
            if state.blobs[id] != nil { return false }
            state.blobs[id] = blob
            return true
        }
        guard isNew else { throw Failure(.alreadyExists, "there is a blob of this name", object: "\(name)/\(id)", cause: .fileExists) }
        return blob
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        guard let blob = state.withLock({ $0.blobs[id] }) else { throw missing("\(id)") }
        return blob
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        guard state.withLock({ $0.blobs.removeValue(forKey: id) }) != nil else { throw missing("\(id)") }
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        guard let blob = state.withLock({ $0.blobs[id] }) else { throw missing("\(id)") }
        try blob.truncate(to: sizeBytes)
    }

    public func syncNames(of ids: [BlobID]) throws(Failure) {}

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for id in state.withLock({ Array($0.blobs.keys) }) { try visit(id) }
    }

    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        guard let blob = state.withLock({ $0.files[file] }) else { return nil }
        let bytes = blob.contents
        guard bytes.count <= limitBytes else { throw Failure(.damaged, "is larger than \(limitBytes) bytes", object: "\(name)/\(file)") }
        return bytes
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) {
        let blob = MemoryBlob(name: "\(name)/\(file)", contents: bytes)
        state.withLock { $0.files[file] = blob }
    }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        state.withLock { state in
            if let blob = state.files[file] { return blob }
            let blob = MemoryBlob(name: "\(name)/\(file)")
            state.files[file] = blob
            return blob
        }
    }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        guard state.withLock({ $0.files.removeValue(forKey: file) }) != nil else { throw missing(file) }
    }

    public func capacity() throws(Failure) -> StorageCapacity {
        let used = state.withLock { $0.blobs.values.reduce(UInt64(0)) { $0 + UInt64($1.contents.count) } }
        return StorageCapacity(totalBytes: capacityBytes, availableBytes: capacityBytes - min(used, capacityBytes))
    }

    private func missing(_ object: String) -> Failure {
        Failure(.missing, "is not there", object: "\(name)/\(object)", cause: .noSuchFileOrDirectory)
    }
}

final class MemoryBlob: WritableBlob {
    private let name: String
    private let bytes: Mutex<[UInt8]>

    init(name: String, contents: [UInt8] = []) {
        self.name = name
        bytes = Mutex(contents)
    }

    var contents: [UInt8] { bytes.withLock { $0 } }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        bytes.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let count = min(buffer.count, bytes.count - Int(offset))
            bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count])) }
            return count
        }
    }

    func sizeBytes() throws(Failure) -> UInt64 { bytes.withLock { UInt64($0.count) } }

    func write(_ new: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        bytes.withLock { bytes in
            let end = Int(offset) + new.count
            if bytes.count < end { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
            bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[Int(offset)..<end]).copyMemory(from: new) }
        }
    }

    func sync() throws(Failure) {}

    func truncate(to sizeBytes: UInt64) throws(Failure) {
        bytes.withLock { bytes in
            let size = Int(sizeBytes)
            if size < bytes.count {
                bytes.removeLast(bytes.count - size)
            } else {
                bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
            }
        }
    }

    func allocate(_ range: Range<UInt64>) throws(Failure) {}

    func zeroFill(_ range: Range<UInt64>) throws(Failure) {
        let zeros = [UInt8](repeating: 0, count: Int(range.count))
        try zeros.withBytes { (zeros) throws(Failure) in try write(zeros, at: range.lowerBound) }
    }
}
