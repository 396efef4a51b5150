import Synchronization
public import Syscalls
import SystemPackage

/// Storage in memory that remembers every change in order, and can tell what a power cut after any of them could have left: for tests
/// of everything that is to survive one. Stricter than a disk: without a sync nothing is kept for sure, in no order, by sectors.
public final class CrashStorage: BlobStorage {
    public let name: String
    public let isReadOnly = false
    private let state: Mutex<State>

    private struct State {
        var view: CrashContents
        /// What the storage held when the recording began; all of it on stable storage.
        var start: CrashContents
        var operations: [CrashOperation] = []

        mutating func perform(_ operation: CrashOperation) {
            operations.append(operation)
            view.perform(operation)
        }
    }

    /// Begins with what is on stable storage already: empty, or what a power cut left.
    public init(name: String = "crash", _ contents: CrashContents = CrashContents()) {
        self.name = name
        state = Mutex(State(view: contents, start: contents))
    }

    /// Changes and syncs so far: a point in time.
    public var operationCount: Int { state.withLock { $0.operations.count } }

    /// What is there now, as a reader sees it.
    public var contents: CrashContents { state.withLock { $0.view } }

    /// Calls `visit` for every point in time from `first` on, and every seed, with what a power cut there could leave.
    public func forEachPowerCut<E: Error>(
        from first: Int = 0, every stride: Int = 1, seeds: Range<UInt64>,
        _ visit: (_ point: Int, _ seed: UInt64, _ left: CrashContents) throws(E) -> Void
    ) throws(E) {
        let (start, operations) = state.withLock { ($0.start, $0.operations) }
        var past = CrashPast(start)
        for point in 0...operations.count {
            if point >= first, (point - first) % stride == 0 || point == operations.count {
                for seed in seeds { try visit(point, seed, past.contents(point: point, seed: seed)) }
            }
            if point < operations.count { past.take(operations[point]) }
        }
    }

    // MARK: Blobs

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let isNew = state.withLock { state in
            if state.view.blobs[id] != nil { return false }
            state.perform(.create(.blob(id)))
            return true
        }
        guard isNew else { throw Failure(.alreadyExists, "there is a blob of this name", object: "\(name)/\(id)", cause: .fileExists) }
        return CrashBlob(self, .blob(id))
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        try expect(.blob(id))
        return CrashBlob(self, .blob(id))
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        try expect(.blob(id))
        perform(.delete(.blob(id)))
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        try expect(.blob(id))
        perform(.change(.blob(id), .truncate(Int(sizeBytes))))
    }

    public func syncBlob(_ id: BlobID) throws(Failure) {
        try expect(.blob(id))
        perform(.sync(.blob(id)))
    }

    public func syncNames(of ids: [BlobID]) throws(Failure) { perform(.syncNames(ids)) }

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for id in state.withLock({ Array($0.view.blobs.keys) }) { try visit(id) }
    }

    // MARK: Small files

    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        guard let bytes = state.withLock({ $0.view.files[file] }) else { return nil }
        guard bytes.count <= limitBytes else { throw Failure(.damaged, "is larger than \(limitBytes) bytes", object: "\(name)/\(file)") }
        return bytes
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) { perform(.replace(file, bytes)) }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        state.withLock { if $0.view.files[file] == nil { $0.perform(.create(.file(file))) } }
        return CrashBlob(self, .file(file))
    }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        try expect(.file(file))
        perform(.delete(.file(file)))
    }

    public func capacity() throws(Failure) -> StorageCapacity { StorageCapacity(totalBytes: 1 << 40, availableBytes: 1 << 39) }

    // MARK: What the open blobs use

    fileprivate func perform(_ operation: CrashOperation) { state.withLock { $0.perform(operation) } }

    fileprivate func bytes(_ object: CrashObject) -> [UInt8]? { state.withLock { $0.view[object] } }

    private func expect(_ object: CrashObject) throws(Failure) {
        guard bytes(object) == nil else { return }
        throw Failure(.missing, "is not there", object: "\(name)/\(object)", cause: .noSuchFileOrDirectory)
    }
}

/// An open blob or small file. One that was deleted meanwhile reads as empty, and what is written to it is lost.
private final class CrashBlob: WritableBlob {
    private let storage: CrashStorage
    private let object: CrashObject

    init(_ storage: CrashStorage, _ object: CrashObject) {
        self.storage = storage
        self.object = object
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let bytes = storage.bytes(object), offset < UInt64(bytes.count) else { return 0 }
        let count = min(buffer.count, bytes.count - Int(offset))
        bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count])) }
        return count
    }

    func sizeBytes() throws(Failure) -> UInt64 { UInt64(storage.bytes(object)?.count ?? 0) }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        storage.perform(.change(object, .write(Array(bytes), at: Int(offset))))
    }

    func sync() throws(Failure) { storage.perform(.sync(object)) }
    func truncate(to sizeBytes: UInt64) throws(Failure) { storage.perform(.change(object, .truncate(Int(sizeBytes)))) }
    func allocate(_ range: Range<UInt64>) throws(Failure) {}

    func zeroFill(_ range: Range<UInt64>) throws(Failure) {
        storage.perform(.change(object, .write([UInt8](repeating: 0, count: range.count), at: Int(range.lowerBound))))
    }
}
