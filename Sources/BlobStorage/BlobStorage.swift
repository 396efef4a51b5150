public import Syscalls

/// Named immutable blobs, and a few small named files beside them: what a volume is kept in.
///
/// A blob is created, appended to by its creator, synced, and from then on only read. Thread-safe. Nothing here knows of
/// keys: every byte that arrives is sealed or public. Whatever comes back is believed only after it is authenticated.
public protocol BlobStorage: AnyObject, Sendable {
    /// Creates an empty blob. Fails with `.alreadyExists` if there is one of that name. Its name is durable after `syncNames`.
    func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob
    /// Opens for reading. Fails with `.missing`.
    func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob
    /// Deletes; fails with `.missing`. Blobs opened before stay readable.
    func deleteBlob(_ id: BlobID) throws(Failure)
    /// Cuts a blob that a dead writer left behind its last genuine byte.
    func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure)
    /// fdatasync(2) of a blob that a dead writer left behind: whatever it wrote is on stable storage.
    func syncBlob(_ id: BlobID) throws(Failure)
    /// Makes durable that these blobs exist (their contents need `sync` of their own).
    func syncNames(of ids: [BlobID]) throws(Failure)
    /// Calls `visit` for every blob, in no order. For checks and for clearing what no checkpoint names.
    func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure)

    /// A small file's whole content, or nil. Fails with `.damaged` if it is larger than `limitBytes`.
    func readSmallFile(_ name: String, limitBytes: Int) throws(Failure) -> [UInt8]?
    /// Replaces a small file, atomically and durably (write aside, sync, rename, sync of the directory).
    func replaceSmallFile(_ name: String, with bytes: [UInt8]) throws(Failure)
    /// Opens or creates a small file that is written in place (the head).
    func openSmallFile(_ name: String) throws(Failure) -> any WritableBlob
    func deleteSmallFile(_ name: String) throws(Failure)

    func capacity() throws(Failure) -> StorageCapacity
    /// What a message calls this storage: a path.
    var name: String { get }
    /// True when nothing may be written.
    var isReadOnly: Bool { get }
    /// Whether writing again what was written takes no new room.
    var overwritesInPlace: Bool { get }
}

extension BlobStorage {
    public var overwritesInPlace: Bool { true }
}

/// Room on the storage, in bytes.
public struct StorageCapacity: Sendable, Equatable {
    public var totalBytes: UInt64
    /// Free for this process: for root also what is kept for root alone.
    public var availableBytes: UInt64
    /// Free for users without privileges: what they are told.
    public var availableToUsersBytes: UInt64

    /// `availableToUsersBytes` nil: the same as for this process.
    public init(totalBytes: UInt64, availableBytes: UInt64, availableToUsersBytes: UInt64? = nil) {
        self.totalBytes = totalBytes
        self.availableBytes = availableBytes
        self.availableToUsersBytes = availableToUsersBytes ?? availableBytes
    }
}

/// An open blob. Thread-safe. Closed when the last reference goes.
public protocol ReadableBlob: AnyObject, Sendable {
    /// Fills `buffer` from `offset`; returns fewer bytes than asked only at the end of the blob.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    func sizeBytes() throws(Failure) -> UInt64
}

/// A blob being written by its creator. Thread-safe for writes that do not overlap.
public protocol WritableBlob: ReadableBlob {
    /// Writes all of `bytes` at `offset`, which may leave a gap that others fill.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure)
    /// fdatasync(2): everything written before is on stable storage.
    func sync() throws(Failure)
    func truncate(to sizeBytes: UInt64) throws(Failure)
    /// Takes room for a range, so that writing there cannot fail for want of it; the range reads as zeros until then. What is written
    /// there already stays.
    func allocate(_ range: Range<UInt64>) throws(Failure)
    /// Writes zeros over a range and so allocates it, so that later writes there need no change of the storage's own metadata.
    func zeroFill(_ range: Range<UInt64>) throws(Failure)
}
