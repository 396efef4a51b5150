import Synchronization
public import Syscalls
import SystemPackage

/// Storage that fails when it is told to: for tests of every layer above. Passes everything else on.
public final class FaultyStorage: BlobStorage {
    /// The calls that can be made to fail.
    public enum Call: Sendable, CaseIterable { case create, open, delete, read, write, sync, syncNames, allocate, truncate, smallFile }

    public struct Fault: Sendable {
        public var calls: Set<Call>
        /// So many of these calls succeed before.
        public var after: Int
        /// So many fail then; later ones succeed again.
        public var count: Int
        public var failure: Failure

        public init(_ calls: Set<Call>, after: Int = 0, count: Int = .max, _ failure: Failure) {
            self.calls = calls
            self.after = after
            self.count = count
            self.failure = failure
        }

        public static let ioError = Failure(.inputOutput, "made to fail", object: "faulty storage", cause: .ioError)
        public static let noSpace = Failure(.noSpace, "made to be full", object: "faulty storage", cause: .noSpace)
    }

    private let base: any BlobStorage
    private let fault = Mutex<Fault?>(nil)
    private let calls = Atomic<Int>(0)
    private let failures = Atomic<Int>(0)

    public init(_ base: any BlobStorage) { self.base = base }

    public var name: String { base.name }
    public var isReadOnly: Bool { base.isReadOnly }
    public var overwritesInPlace: Bool { base.overwritesInPlace }

    public func set(_ new: Fault?) { fault.withLock { $0 = new } }

    /// Calls that could have failed so far, for enumerating all places of failure.
    public var callCount: Int { calls.load(ordering: .relaxed) }

    /// Calls that were made to fail so far: none means that a test has been through all of them.
    public var failureCount: Int { failures.load(ordering: .relaxed) }

    fileprivate func check(_ call: Call) throws(Failure) {
        calls.add(1, ordering: .relaxed)
        let failure = fault.withLock { fault -> Failure? in
            guard let now = fault, now.calls.contains(call) else { return nil }
            if now.after > 0 {
                fault?.after -= 1
                return nil
            }
            if now.count == 0 { return nil }
            if now.count != .max { fault?.count -= 1 }
            return now.failure
        }
        if let failure {
            failures.add(1, ordering: .relaxed)
            throw failure
        }
    }

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        try check(.create)
        return FaultyBlob(try base.createBlob(id), self)
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        try check(.open)
        return FaultyReadableBlob(try base.openBlob(id), self)
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        try check(.delete)
        try base.deleteBlob(id)
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        try check(.truncate)
        try base.truncateBlob(id, to: sizeBytes)
    }

    public func syncBlob(_ id: BlobID) throws(Failure) {
        try check(.sync)
        try base.syncBlob(id)
    }

    public func syncNames(of ids: [BlobID]) throws(Failure) {
        try check(.syncNames)
        try base.syncNames(of: ids)
    }

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) { try base.listBlobs(visit) }

    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        try check(.read)
        return try base.readSmallFile(file, limitBytes: limitBytes)
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) {
        try check(.smallFile)
        try base.replaceSmallFile(file, with: bytes)
    }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        try check(.smallFile)
        return FaultyBlob(try base.openSmallFile(file), self)
    }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        try check(.smallFile)
        try base.deleteSmallFile(file)
    }

    public func capacity() throws(Failure) -> StorageCapacity { try base.capacity() }
}

private final class FaultyReadableBlob: ReadableBlob {
    private let base: any ReadableBlob
    private let storage: FaultyStorage

    init(_ base: any ReadableBlob, _ storage: FaultyStorage) {
        self.base = base
        self.storage = storage
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        try storage.check(.read)
        return try base.read(at: offset, into: buffer)
    }

    func sizeBytes() throws(Failure) -> UInt64 { try base.sizeBytes() }
}

private final class FaultyBlob: WritableBlob {
    private let base: any WritableBlob
    private let readable: FaultyReadableBlob
    private let storage: FaultyStorage

    init(_ base: any WritableBlob, _ storage: FaultyStorage) {
        self.base = base
        readable = FaultyReadableBlob(base, storage)
        self.storage = storage
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        try readable.read(at: offset, into: buffer)
    }

    func sizeBytes() throws(Failure) -> UInt64 { try readable.sizeBytes() }

    /// A write that fails has written its first half, as a disk may.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        do throws(Failure) { try storage.check(.write) } catch {
            try base.write(UnsafeRawBufferPointer(rebasing: bytes[0..<bytes.count / 2]), at: offset)
            throw error
        }
        try base.write(bytes, at: offset)
    }

    func sync() throws(Failure) {
        try storage.check(.sync)
        try base.sync()
    }

    func truncate(to sizeBytes: UInt64) throws(Failure) {
        try storage.check(.truncate)
        try base.truncate(to: sizeBytes)
    }

    func allocate(_ range: Range<UInt64>) throws(Failure) {
        try storage.check(.allocate)
        try base.allocate(range)
    }

    func zeroFill(_ range: Range<UInt64>) throws(Failure) {
        try storage.check(.write)
        try base.zeroFill(range)
    }
}
