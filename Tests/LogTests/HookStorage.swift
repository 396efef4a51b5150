import BlobStorage
import Synchronization
import Syscalls

/// Storage that tells of what is done to it, before it is done; what it is told to throw fails. Passes everything on to another one.
final class HookStorage: BlobStorage {
    enum Event { case writeBlob, writeFile(String), syncFile(String), openFile(String), capacity }

    typealias Hook = @Sendable (Event) throws(Failure) -> Void

    private let base: any BlobStorage
    private let hook = Mutex<Hook?>(nil)

    init(_ base: any BlobStorage) { self.base = base }

    func set(_ new: Hook?) { hook.withLock { $0 = new } }

    fileprivate func tell(_ event: Event) throws(Failure) { try hook.withLock { $0 }?(event) }

    var name: String { base.name }
    var isReadOnly: Bool { base.isReadOnly }
    func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob { HookBlob(try base.createBlob(id), self, file: nil) }
    func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob { try base.openBlob(id) }
    func deleteBlob(_ id: BlobID) throws(Failure) { try base.deleteBlob(id) }
    func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) { try base.truncateBlob(id, to: sizeBytes) }
    func syncBlob(_ id: BlobID) throws(Failure) { try base.syncBlob(id) }
    func syncNames(of ids: [BlobID]) throws(Failure) { try base.syncNames(of: ids) }
    func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) { try base.listBlobs(visit) }
    func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? { try base.readSmallFile(file, limitBytes: limitBytes) }
    func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) { try base.replaceSmallFile(file, with: bytes) }

    func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        try tell(.openFile(file))
        return HookBlob(try base.openSmallFile(file), self, file: file)
    }

    func deleteSmallFile(_ file: String) throws(Failure) { try base.deleteSmallFile(file) }

    func capacity() throws(Failure) -> StorageCapacity {
        try tell(.capacity)
        return try base.capacity()
    }
}

private final class HookBlob: WritableBlob {
    private let base: any WritableBlob
    private let storage: HookStorage
    private let file: String?

    init(_ base: any WritableBlob, _ storage: HookStorage, file: String?) {
        self.base = base
        self.storage = storage
        self.file = file
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        try base.read(at: offset, into: buffer)
    }
    func sizeBytes() throws(Failure) -> UInt64 { try base.sizeBytes() }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        try storage.tell(file.map { .writeFile($0) } ?? .writeBlob)
        try base.write(bytes, at: offset)
    }

    func sync() throws(Failure) {
        if let file { try storage.tell(.syncFile(file)) }
        try base.sync()
    }

    func truncate(to sizeBytes: UInt64) throws(Failure) { try base.truncate(to: sizeBytes) }
    func allocate(_ range: Range<UInt64>) throws(Failure) { try base.allocate(range) }
    func zeroFill(_ range: Range<UInt64>) throws(Failure) { try base.zeroFill(range) }
}
