import Records
import Synchronization
public import Syscalls

extension TableTree {
    /// Writes all frozen memory tables, the oldest first, as tables of level 0. Returns the new tables. When it fails, what
    /// was not written stays frozen and readable.
    @discardableResult
    public func flushFrozen() throws(Failure) -> [TableInfo] {
        try flushing.withLock { (_) throws(Failure) -> [TableInfo] in
            var new: [TableInfo] = []
            while let oldest = currentVersion().frozen.last { new += try flush(oldest) }
            return new
        }
    }

    private func flush(_ frozen: FrozenTable) throws(Failure) -> [TableInfo] {
        let output = TableOutput(environment, level: 0, sequence: frozen.sequence, makeID: makeID)
        let infos: [TableInfo]
        do {
            try write(frozen.memory, to: output)
            infos = try output.finish()
        } catch {
            output.abandon()
            throw error
        }
        install(infos, level: 0, sequence: frozen.sequence, replacing: [], without: frozen)
        return infos
    }

    private func write(_ memory: MemoryTable, to output: TableOutput) throws(Failure) {
        // All that is older is in the tables of this version: older frozen tables went before, and what a compaction does
        // meanwhile brings no key to where there was none.
        var older = OlderRecords(currentVersion().runs)
        var cursor = memory.cursor()
        var isAtRecord = cursor.seekToFirst()
        while isAtRecord {
            let key = cursor.key
            if let value = cursor.value {
                try output.add(key, value)
            } else if older.mayHold(key) {
                try output.add(key, nil)
            }
            isAtRecord = cursor.next()
        }
    }

    /// Makes a version with some tables, and perhaps a frozen memory table, replaced by new tables.
    func install(_ infos: [TableInfo], level: Int, sequence: UInt64, replacing removed: [Table], without frozen: FrozenTable?) {
        let added = infos.map(environment.makeTable)
        edit { editing, old in
            editing.obsolete += removed
            let new = old.replacing(removed, with: added, level: level, sequence: sequence)
            return Version(active: new.active, frozen: old.frozen.filter { $0 !== frozen }, runs: new.runs)
        }
    }
}
