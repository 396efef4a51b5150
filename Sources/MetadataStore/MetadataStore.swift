public import Records
public import Syscalls

/// Names a state of the metadata: a token covers every batch whose `apply` returned it or a smaller one.
public typealias CommitToken = UInt64

/// What must hold for a batch to be applied. A store that several machines write checks it and refuses; the embedded one is
/// written by one process, whose locks already make it hold, and checks in debug builds only.
public enum Precondition {
    case absent(RecordKey)
    case present(RecordKey)
}

/// One record as a scan shows it; pointers are valid during the call only.
public struct RecordView {
    public var key: RecordKey
    public var value: UnsafeRawBufferPointer

    public init(key: RecordKey, value: UnsafeRawBufferPointer) {
        self.key = key
        self.value = value
    }
}

public enum ScanStep { case next, stop }

/// Ordered metadata records with atomic batches. `apply` makes a batch visible, `durable` puts it on stable storage: two
/// calls, so that callers share one commit. Thread-safe; readers see each batch whole or not at all for a single key, and a
/// caller that needs several keys to agree holds its own lock (an inode's) over them.
public protocol MetadataStore: AnyObject, Sendable {
    /// Calls `body` with the value; false, without a call, if there is no such record. `body` must not call the store.
    func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool
    /// Calls `body` for the records from `lower` (included) to `upper` (not included) in order, until it says stop.
    /// `body` must not call the store.
    func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) throws(Failure)
    /// Makes the batch visible. The batch can be reset and used again afterwards.
    func apply(_ batch: RecordBatch, _ preconditions: [Precondition]) throws(Failure) -> CommitToken
    /// Returns when everything up to the token is on stable storage.
    func durable(_ token: CommitToken) throws(Failure)
    /// A token that covers everything applied so far.
    func currentToken() -> CommitToken
}
