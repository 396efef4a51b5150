import BlobStorage
import Records
import Sealing
import Synchronization
import Syscalls

/// A live table: what is known of it, and its file while it is open. Thread-safe.
final class Table: Sendable {
    let info: TableInfo
    /// Names its blocks in the cache.
    let owner: UInt64
    fileprivate let opened = Mutex<OpenTable?>(nil)
    /// Set by readers, cleared by the pool's hand.
    fileprivate let wasUsed = Atomic<Bool>(false)

    init(_ info: TableInfo, owner: UInt64) {
        self.info = info
        self.owner = owner
    }

    var region: Int { KeyRegion.of(kind: info.smallest.kind) }
}

/// What all tables of a tree share: storage, keys, cache, scratch memory, and the bound on open files.
final class TableEnvironment: Sendable {
    let storage: any BlobStorage
    let keys: KeyHierarchy
    let cache: BlockCache
    let options: TableOptions
    let scratch = BlockScratchPool()
    private let pool: Mutex<OpenPool>

    init(storage: any BlobStorage, keys: KeyHierarchy, cache: BlockCache, options: TableOptions) {
        self.storage = storage
        self.keys = keys
        self.cache = cache
        self.options = options
        pool = Mutex(OpenPool(limit: max(options.openTableLimit, 1)))
    }

    func makeTable(_ info: TableInfo) -> Table { Table(info, owner: cache.makeOwner()) }

    /// The table's file, opened if need be. Who holds the result may read on even when the pool closes the file's entry.
    func open(_ table: Table) throws(Failure) -> OpenTable {
        if let open = table.opened.withLock({ $0 }) {
            if !table.wasUsed.load(ordering: .relaxed) { table.wasUsed.store(true, ordering: .relaxed) }
            return open
        }
        let lent = scratch.take()
        defer { scratch.give(lent) }
        let new = try OpenTable(table.info, storage: storage, keys: keys, scratch: lent)
        // Two threads can open at once; the first one's stays.
        let isFirst = table.opened.withLock { opened in
            if opened != nil { return false }
            opened = new
            return true
        }
        if isFirst { pool.withLock { $0.add(table) } }
        return new
    }

    /// A block, from the cache or read into it.
    func block(_ table: Table, _ open: OpenTable, _ place: BlockPlace, _ part: TablePart) throws(Failure) -> RecordBlock {
        if let block = cache.find(table.owner, place.offset) { return block }
        let lent = scratch.take()
        defer { scratch.give(lent) }
        let block = try open.block(place, part, lent)
        cache.insert(block, table.owner, place.offset)
        return block
    }

    /// Forgets a table that is in no version any more.
    func drop(_ table: Table) {
        table.opened.withLock { $0 = nil }
        cache.remove(owner: table.owner)
    }

    var openTableCount: Int { pool.withLock { $0.openCount } }
}

/// The tables whose files are open, in a ring; a CLOCK hand closes one for each that is opened beyond the limit.
private struct OpenPool: Sendable {
    /// Weak: being open must not keep a table in use.
    private struct Entry: Sendable { weak var table: Table? }

    private let limit: Int
    private var ring: [Entry] = []
    private var hand = 0

    init(limit: Int) { self.limit = limit }

    mutating func add(_ table: Table) {
        if ring.count < limit {
            ring.append(Entry(table: table))
            return
        }
        while true {
            if hand >= ring.count { hand = 0 }
            let victim = ring[hand].table
            if let victim, victim.wasUsed.exchange(false, ordering: .relaxed) {
                hand += 1
                continue
            }
            victim?.opened.withLock { $0 = nil }
            ring[hand] = Entry(table: table)
            hand += 1
            return
        }
    }

    var openCount: Int { ring.count { $0.table?.opened.withLock { $0 != nil } ?? false } }
}

/// Result of looking for a key in one table.
enum TableLookup { case absent, deleted, found }

extension TableEnvironment {
    /// Looks a key up whose `KeyHash.whole` is `hash`; calls `body` if it has a value.
    func get(_ table: Table, _ key: RecordKey, _ hash: UInt64, _ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> TableLookup {
        let open = try open(table)
        do {
            var top = BlockCursor(open.top)
            guard try top.seek(key, in: open.top) else { return .absent }
            let group = try block(table, open, try top.place(), .index)
            guard BlockFilter.mayContain(hash, group.filter) else { return .absent }
            var index = BlockCursor(group)
            guard try index.seek(key, in: group) else { return .absent }
            let data = try block(table, open, try index.place(), .data)
            var record = BlockCursor(data)
            guard try record.seek(key, in: data), order(record.key, key) == 0 else { return .absent }
            if record.isDeletion { return .deleted }
            withExtendedLifetime(data) { body(record.value) }
            return .found
        } catch let error as Failure {
            throw error
        } catch {
            throw TableFormat.damaged(table.info.id, "a block does not hold together")
        }
    }
}
