import BlobStorage
import Records
import Syscalls

/// Writes a sorted stream of records as tables: a new one whenever one is full or another region begins. Not thread-safe.
final class TableOutput {
    private let environment: TableEnvironment
    private let makeID: @Sendable () -> BlobID
    private let level: Int
    private let sequence: UInt64
    private let scratch: TableWriterScratch
    private var writer: TableWriter?
    private var region = -1
    private var infos: [TableInfo] = []

    init(_ environment: TableEnvironment, level: Int, sequence: UInt64, makeID: @escaping @Sendable () -> BlobID) {
        self.environment = environment
        self.makeID = makeID
        self.level = level
        self.sequence = sequence
        scratch = TableWriterScratch(options: environment.options)
    }

    func add(_ key: RecordKey, _ value: UnsafeRawBufferPointer?) throws(Failure) {
        if let writer, writer.sizeBytes >= environment.options.tableSizeBytes || region != KeyRegion.of(kind: key.kind) {
            try close()
        }
        if let writer { return try writer.add(key, value) }
        let new = try TableWriter(
            id: makeID(), storage: environment.storage, keys: environment.keys, options: environment.options, scratch: scratch)
        writer = new
        region = KeyRegion.of(kind: key.kind)
        try new.add(key, value)
    }

    private func close() throws(Failure) {
        guard let writer else { return }
        infos.append(try writer.finish(level: level, sequence: sequence))
        self.writer = nil
    }

    /// The tables, contents and names on stable storage.
    func finish() throws(Failure) -> [TableInfo] {
        try close()
        if !infos.isEmpty { try environment.storage.syncNames(of: infos.map(\.id)) }
        return infos
    }

    /// Deletes what was written, as far as that can be done: nothing names it.
    func abandon() {
        for id in infos.map(\.id) + (writer.map { [$0.id] } ?? []) { try? environment.storage.deleteBlob(id) }
        writer = nil
        infos = []
    }
}

/// Tells, for keys in ascending order, whether tables of certain runs could hold them: if none could, a deletion of such a key
/// hides nothing and need not be kept.
struct OlderRecords {
    private let runs: [Run]
    private var positions: [Int]

    init(_ runs: [Run]) {
        self.runs = runs
        positions = Array(repeating: 0, count: runs.count)
    }

    mutating func mayHold(_ key: RecordKey) -> Bool {
        for (index, run) in runs.enumerated() {
            var at = positions[index]
            while at < run.tables.count, order(key, run.tables[at].info.largest) > 0 { at += 1 }
            positions[index] = at
            if at < run.tables.count, order(key, run.tables[at].info.smallest) >= 0 { return true }
        }
        return false
    }
}
