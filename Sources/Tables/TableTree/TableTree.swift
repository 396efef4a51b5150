public import BlobStorage
public import Records
public import Sealing
import Synchronization
public import Syscalls

/// The records of a volume, sorted: a log-structured merge tree of memory tables and immutable sealed tables.
///
/// Threads: readers (`get`, `scan`) run at any time, from any number of threads, and lock only to take a reference to the
/// present version. Changes (`apply`, `capture`, `freeze`) are serialised by the caller. `flushFrozen` and `compactIfNeeded`
/// run in background threads beside all that; each is one at a time by a lock of its own.
///
/// Durability is the caller's: what `capture` gives must be in its log before the table it came from is flushed, and tables
/// are part of the volume once a manifest names them.
public final class TableTree: Sendable {
    /// What only those who make new versions look at.
    struct Editing: Sendable {
        /// In no version any more, but perhaps still read by somebody with an older one.
        var obsolete: [Table] = []
        var nextSequence: UInt64 = 1
    }

    let environment: TableEnvironment
    let makeID: @Sendable () -> BlobID
    /// Held while a new version is made from the present one, so that no change is lost. Taken before `present`.
    let editing = Mutex(Editing())
    /// Held to copy or to swap the reference, nothing else: all readers come by here.
    private let present: Mutex<Version>
    /// Scans' scratch objects that nobody uses now.
    private let idleCursors = Mutex<[MergeCursor]>([])
    private static let idleCursorLimit = 16
    let flushing = Mutex<Void>(())
    let compacting = Mutex<Void>(())
    let mustStop = Atomic<Bool>(false)

    public var options: TableOptions { environment.options }

    /// `makeID` gives random names for new tables.
    public init(
        storage: any BlobStorage, keys: KeyHierarchy, cache: BlockCache, options: TableOptions = TableOptions(),
        makeID: @escaping @Sendable () -> BlobID
    ) {
        environment = TableEnvironment(storage: storage, keys: keys, cache: cache, options: options)
        self.makeID = makeID
        present = Mutex(Version(active: MemoryTable(), frozen: [], runs: []))
    }

    /// Takes over the tables of a manifest. Opens none of them. To be called once, before anything else.
    public func load(manifest infos: [TableInfo]) throws(Failure) {
        var runs: [Run] = []
        let byRun = Dictionary(grouping: infos) { RunKey(level: $0.level, sequence: $0.level == 0 ? $0.sequence : 0) }
        for (key, infos) in byRun {
            let sorted = infos.sorted { order($0.smallest, $1.smallest) < 0 }
            for (before, after) in zip(sorted, sorted.dropFirst()) where order(before.largest, after.smallest) >= 0 {
                throw Failure(.damaged, "tables of one level overlap", object: "table \(after.id)")
            }
            runs.append(Run(level: key.level, sequence: key.sequence, tables: sorted.map(environment.makeTable)))
        }
        runs.sort { ($0.level, $1.sequence) < ($1.level, $0.sequence) }
        let newest = infos.lazy.map(\.sequence).max() ?? 0
        edit { editing, version in
            editing.nextSequence = newest + 1
            return Version(active: version.active, frozen: version.frozen, runs: runs)
        }
    }

    private struct RunKey: Hashable {
        var level: Int
        var sequence: UInt64
    }

    @inline(__always)
    func currentVersion() -> Version { present.withLock { $0 } }

    /// Makes the next version from the present one.
    func edit(_ make: (inout Editing, Version) -> Version) {
        // The old version is let go of outside the locks: that can free a whole memory table.
        let old = editing.withLock { editing in
            let old = currentVersion()
            let new = make(&editing, old)
            present.withLock { $0 = new }
            return old
        }
        withExtendedLifetime(old) {}
    }

    // MARK: Reading

    /// Calls `body` with the record's value; false, without a call, if there is none. The pointer is valid during the call.
    public func get(_ key: RecordKey, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool {
        let version = currentVersion()
        let hash = KeyHash.whole(key)
        switch version.active.lookup(key, hash: hash) {
        case .value(let value):
            withExtendedLifetime(version) { body(value) }
            return true
        case .deleted: return false
        case .absent: break
        }
        for frozen in version.frozen {
            switch frozen.memory.lookup(key, hash: hash) {
            case .value(let value):
                withExtendedLifetime(version) { body(value) }
                return true
            case .deleted: return false
            case .absent: break
            }
        }
        for run in version.runs {
            guard let table = run.table(for: key) else { continue }
            switch try environment.get(table, key, hash, body) {
            case .found: return true
            case .deleted: return false
            case .absent: break
            }
        }
        return false
    }

    /// Calls `body` for the records from `lower` (included) to `upper` (not included), in order, until it says false. Its
    /// pointers are valid during the call. Records that change meanwhile are shown as they are when the scan comes to them.
    public func scan(
        from lower: RecordKey, to upper: RecordKey, _ body: (RecordKey, UnsafeRawBufferPointer) -> Bool
    ) throws(Failure) {
        guard order(lower, upper) < 0 else { return }
        let version = currentVersion()
        let cursor = idleCursors.withLock { $0.popLast() } ?? MergeCursor(environment)
        defer {
            cursor.release()
            idleCursors.withLock { if $0.count < Self.idleCursorLimit { $0.append(cursor) } }
        }
        try cursor.seek(version.active, version.frozen, version.runs, from: lower, to: upper)
        while try cursor.next() {
            let key = cursor.key
            if order(key, upper) >= 0 { break }
            guard let value = cursor.value else { continue }
            if !body(key, value) { break }
        }
        withExtendedLifetime(version) {}
    }

    // MARK: Changing

    /// Puts and deletes what the batch says; deltas of live bytes are the caller's matter.
    public func apply(_ batch: RecordBatch) {
        let active = currentVersion().active
        let isWhole = BatchDecoder.decode(batch.bytes.readable) { Self.apply($0, to: active) }
        precondition(isWhole, "a batch holds what it wrote")
    }

    /// The same for a batch's flat form, as a log gives it back. Fails with `.damaged` if it is none, or a value is too long;
    /// what came before that is applied.
    public func apply(flat bytes: UnsafeRawBufferPointer) throws(Failure) {
        let active = currentVersion().active
        var isWhole = true
        let decoded = BatchDecoder.decode(bytes) { operation in
            if case .put(_, let value) = operation, value.count > TableLimit.valueSizeBytes { isWhole = false }
            if isWhole { Self.apply(operation, to: active) }
        }
        guard decoded, isWhole else { throw Failure(.damaged, "a commit holds records that do not decode") }
    }

    private static func apply(_ operation: BatchOperation, to table: MemoryTable) {
        switch operation {
        case .put(let key, let value): table.put(key, value)
        case .delete(let key): table.delete(key)
        case .liveBytes: break
        }
    }

    /// Appends what was set since the last capture, in the flat form of a batch; each record once, as it is now.
    public func capture(into writer: inout ByteWriter) { currentVersion().active.capture(into: &writer) }

    /// True if something was set since the last capture.
    public var hasChanges: Bool { currentVersion().active.hasChanges }

    /// Forgets what would be captured: after replaying what is in the log already.
    public func discardChanges() { currentVersion().active.discardChanges() }

    /// Freezes the active memory table, all of which must have been captured, and starts an empty one. Returns the freeze's
    /// number, or nil if there was nothing to freeze. `flushFrozen` writes it.
    @discardableResult
    public func freeze() -> UInt64? {
        guard currentVersion().active.count > 0 else { return nil }
        let fresh = MemoryTable()
        var sequence: UInt64 = 0
        edit { editing, old in
            precondition(!old.active.hasChanges, "records that are in no log yet must not reach a table")
            sequence = editing.nextSequence
            editing.nextSequence += 1
            return Version(active: fresh, frozen: [FrozenTable(old.active, sequence: sequence)] + old.frozen, runs: old.runs)
        }
        return sequence
    }

    // MARK: What there is

    /// The present content of a manifest. Covers all that was frozen and flushed by now.
    public var tables: [TableInfo] { currentVersion().tables }

    /// Memory of the active table, in bytes: when it is large, freeze.
    public var activeSizeBytes: Int { currentVersion().active.sizeBytes }

    /// Open files of tables.
    public var openTableCount: Int { environment.openTableCount }

    /// True while there are tables for `takeObsolete`, now or later.
    public var hasObsolete: Bool { editing.withLock { !$0.obsolete.isEmpty } }

    /// Tables that are in no version and that nobody reads any more, each handed out once: the caller deletes their blobs
    /// when no manifest names them. Others that are still being read come with a later call.
    public func takeObsolete() -> [TableInfo] {
        let free = editing.withLock { editing in
            var free: [Table] = []
            var kept: [Table] = []
            while var table = editing.obsolete.popLast() {
                if isKnownUniquelyReferenced(&table) { free.append(table) } else { kept.append(table) }
            }
            editing.obsolete = kept
            return free
        }
        for table in free { environment.drop(table) }
        return free.map(\.info)
    }
}
