public import Records
import Synchronization
public import Syscalls

/// A metadata store in memory, for tests of the layers above: it checks every precondition and can keep the history of
/// batches, so that a test can look at the state after any of them, and fail any call. Thread-safe, by one lock.
public final class MemoryMetadataStore: MetadataStore {
    /// A call of the store, as a fault sees it.
    public enum Call: Sendable { case get, scan, apply, durable }

    fileprivate struct State: Sendable {
        var records = SortedRecords()
        var liveBytes: [UInt64: Int64] = [:]
        var claimedBytes: [UInt64: Int64] = [:]
        var token: CommitToken = 0
        var durableToken: CommitToken = 0
        var durableCalls = 0
        var history: [[UInt8]] = []
    }

    private let state = Mutex(State())
    private let fault = Mutex<(@Sendable (Call) -> Failure?)?>(nil)
    private let keepsHistory: Bool

    public init(keepsHistory: Bool = false) { self.keepsHistory = keepsHistory }

    public func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool {
        try failIfAsked(.get)
        return state.withLock { state in
            guard let value = state.records.value(of: key) else { return false }
            value.withUnsafeBytes { body($0) }
            return true
        }
    }

    public func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) throws(Failure) {
        try failIfAsked(.scan)
        state.withLock { $0.records.scan(from: lower, to: upper, body) }
    }

    public func apply(_ batch: RecordBatch, _ preconditions: [Precondition]) throws(Failure) -> CommitToken {
        try failIfAsked(.apply)
        let token = state.withLock { state -> CommitToken? in
            for condition in preconditions where !state.records.holds(condition) { return nil }
            state.apply(batch.bytes.readable)
            if keepsHistory { state.history.append([UInt8](batch.bytes.readable)) }
            state.token += 1
            return state.token
        }
        guard let token else { throw Failure(.damaged, "a precondition of a batch does not hold") }
        return token
    }

    public func durable(_ token: CommitToken) throws(Failure) {
        try failIfAsked(.durable)
        state.withLock { state in
            state.durableCalls += 1
            state.durableToken = max(state.durableToken, min(token, state.token))
        }
    }

    public func currentToken() -> CommitToken { state.withLock { $0.token } }

    private func failIfAsked(_ call: Call) throws(Failure) {
        if let failure = fault.withLock({ $0?(call) }) { throw failure }
    }
}

// MARK: What tests ask for
extension MemoryMetadataStore {
    /// `fault` is asked before each call; the call fails with what it returns.
    public func setFault(_ newFault: (@Sendable (Call) -> Failure?)?) { fault.withLock { $0 = newFault } }

    /// Live bytes of segments as the batches' deltas add up; segments with none are left out.
    public var liveBytes: [UInt64: Int64] { state.withLock { $0.liveBytes } }

    /// The sum of the live bytes that came to each segment, whatever went again.
    public var claimedBytes: [UInt64: Int64] { state.withLock { $0.claimedBytes } }

    public var durableToken: CommitToken { state.withLock { $0.durableToken } }
    /// How often `durable` was called.
    public var durableCalls: Int { state.withLock { $0.durableCalls } }
    public var recordCount: Int { state.withLock { $0.records.count } }
    /// Batches that were applied, if the history is kept.
    public var historyCount: Int { state.withLock { $0.history.count } }

    /// A new store with the first `batchCount` batches of the history: what a crash after them leaves.
    public func replayed(batchCount: Int, keepsHistory: Bool = false) -> MemoryMetadataStore {
        let copy = MemoryMetadataStore(keepsHistory: keepsHistory)
        let batches = state.withLock { Array($0.history.prefix(batchCount)) }
        copy.state.withLock { state in
            for bytes in batches {
                bytes.withUnsafeBytes { state.apply($0) }
                if keepsHistory { state.history.append(bytes) }
                state.token += 1
            }
        }
        return copy
    }
}

extension MemoryMetadataStore.State {
    mutating func apply(_ bytes: UnsafeRawBufferPointer) {
        let whole = BatchDecoder.decode(bytes) { operation in
            switch operation {
            case .put(let key, let value): records.put(key, value)
            case .delete(let key): records.delete(key)
            case .liveBytes(let segment, let delta):
                if delta > 0 { claimedBytes[segment, default: 0] += delta }
                let sum = liveBytes[segment, default: 0] + delta
                liveBytes[segment] = sum == 0 ? nil : sum
            }
        }
        precondition(whole, "a batch holds what it wrote")
    }
}
