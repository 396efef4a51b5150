import Records

/// Tables that do not overlap, in order: what one flush made (level 0), or a whole deeper level. Immutable.
final class Run: Sendable {
    let level: Int
    /// Of level 0: which flush. Elsewhere 0.
    let sequence: UInt64
    let tables: [Table]

    init(level: Int, sequence: UInt64, tables: [Table]) {
        self.level = level
        self.sequence = sequence
        self.tables = tables
    }

    /// The first table that ends at or after `key`.
    func firstIndex(endingAtOrAfter key: RecordKey) -> Int {
        var low = 0
        var high = tables.count
        while low < high {
            let middle = (low + high) / 2
            if order(key, tables[middle].info.largest) > 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The one table that can hold `key`.
    func table(for key: RecordKey) -> Table? {
        let index = firstIndex(endingAtOrAfter: key)
        guard index < tables.count, order(key, tables[index].info.smallest) >= 0 else { return nil }
        return tables[index]
    }

    /// Those that overlap the closed range.
    func tables(from lower: OwnedRecordKey, through upper: OwnedRecordKey) -> [Table] {
        let start = lower.withKey { firstIndex(endingAtOrAfter: $0) }
        var end = start
        while end < tables.count, order(tables[end].info.smallest, upper) <= 0 { end += 1 }
        return Array(tables[start..<end])
    }
}

/// A memory table that takes no more changes and waits to be written.
final class FrozenTable: Sendable {
    let memory: MemoryTable
    let sequence: UInt64

    init(_ memory: MemoryTable, sequence: UInt64) {
        self.memory = memory
        self.sequence = sequence
    }
}

/// Everything a reader needs, as it was at one moment. Immutable but for the active memory table, which only gains.
///
/// Order is age: a key is looked for in `active`, then `frozen`, then `runs`, and the first that knows of it is right.
final class Version: Sendable {
    let active: MemoryTable
    /// Newest first.
    let frozen: [FrozenTable]
    /// Level 0 newest first, then the deeper levels in order. None is empty.
    let runs: [Run]

    init(active: MemoryTable, frozen: [FrozenTable], runs: [Run]) {
        self.active = active
        self.frozen = frozen
        self.runs = runs
    }

    func run(level: Int) -> Run? { runs.first { $0.level == level } }

    var tables: [TableInfo] {
        runs.flatMap { run in
            run.tables.map { table in
                var info = table.info
                info.level = run.level
                if run.level > 0 { info.sequence = 0 }
                return info
            }
        }
    }

    /// The same with some tables gone and others added to one level.
    func replacing(_ removed: [Table], with added: [Table], level: Int, sequence: UInt64) -> Version {
        let gone = Set(removed.map(ObjectIdentifier.init))
        var kept = runs.compactMap { run -> Run? in
            let rest = run.tables.filter { !gone.contains(ObjectIdentifier($0)) }
            if rest.count == run.tables.count { return run }
            return rest.isEmpty ? nil : Run(level: run.level, sequence: run.sequence, tables: rest)
        }
        if !added.isEmpty {
            if level > 0, let at = kept.firstIndex(where: { $0.level == level }) {
                let merged = (kept[at].tables + added).sorted { order($0.info.smallest, $1.info.smallest) < 0 }
                kept[at] = Run(level: level, sequence: 0, tables: merged)
            } else {
                kept.append(Run(level: level, sequence: level == 0 ? sequence : 0, tables: added))
                kept.sort { ($0.level, $1.sequence) < ($1.level, $0.sequence) }
            }
        }
        return Version(active: active, frozen: frozen, runs: kept)
    }
}
