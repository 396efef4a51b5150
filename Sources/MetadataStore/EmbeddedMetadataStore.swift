public import Log
public import Records
public import Syscalls

/// The metadata of a volume in its own log: one process writes it.
public final class EmbeddedMetadataStore: MetadataStore {
    private let log: VolumeLog

    public init(_ log: VolumeLog) { self.log = log }

    public func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool { try log.get(key, body) }

    public func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) throws(Failure) {
        try log.scan(from: lower, to: upper) { body(RecordView(key: $0, value: $1)) == .next }
    }

    public func apply(_ batch: RecordBatch, _ preconditions: [Precondition]) throws(Failure) -> CommitToken {
        #if DEBUG
            try check(preconditions)
        #endif
        return try log.apply(batch)
    }

    public func durable(_ token: CommitToken) throws(Failure) { try log.durable(token) }

    public func currentToken() -> CommitToken { log.currentToken() }

    private func check(_ preconditions: [Precondition]) throws(Failure) {
        for precondition in preconditions {
            switch precondition {
            case .absent(let key): expect(try !log.get(key) { _ in }, "a record is there that its writer thought absent")
            case .present(let key): expect(try log.get(key) { _ in }, "a record is gone that its writer thought present")
            }
        }
    }

    private func expect(_ holds: Bool, _ message: String) { Swift.precondition(holds, message) }
}
