import Records
import Synchronization
public import Syscalls

/// One step of merging: tables that go, in runs ordered by age, and the level that what they hold comes to.
struct Compaction {
    /// Newest first.
    var inputs: [Run]
    var outputLevel: Int
    /// No input overlaps another or the output level: the tables just change level.
    var isMove: Bool
}

extension TableTree {
    /// Does one step of compaction, if one is due: the whole of level 0 of a region, or one table of a deeper level, is merged
    /// into the level below. Returns whether there was something to do: call it again.
    ///
    /// `thorough` also merges what holds many deletions, however little that is: for when there is time, so that space comes
    /// back. When it fails, nothing has changed.
    @discardableResult
    public func compactIfNeeded(thorough: Bool = false) throws(Failure) -> Bool {
        try compacting.withLock { (_) throws(Failure) -> Bool in
            let version = currentVersion()
            guard let compaction = CompactionPicker(version, options).pick(thorough: thorough) else { return false }
            return try perform(compaction, version)
        }
    }

    /// Makes a compaction that is under way, and every later one, return false soon and change nothing: before closing.
    public func stopCompacting() { mustStop.store(true, ordering: .relaxed) }

    func perform(_ compaction: Compaction, _ version: Version) throws(Failure) -> Bool {
        let removed = compaction.inputs.flatMap(\.tables)
        if compaction.isMove {
            move(removed, to: compaction.outputLevel)
            return true
        }
        let output = TableOutput(environment, level: compaction.outputLevel, sequence: 0, makeID: makeID)
        let infos: [TableInfo]
        do {
            guard try merge(compaction, version, to: output) else {
                output.abandon()
                return false
            }
            infos = try output.finish()
        } catch {
            output.abandon()
            throw error
        }
        install(infos, level: compaction.outputLevel, sequence: 0, replacing: removed, without: nil)
        return true
    }

    private func move(_ tables: [Table], to level: Int) {
        let sorted = tables.sorted { order($0.info.smallest, $1.info.smallest) < 0 }
        edit { _, old in old.replacing(tables, with: sorted, level: level, sequence: 0) }
    }

    /// False if it was told to stop.
    private func merge(_ compaction: Compaction, _ version: Version, to output: TableOutput) throws(Failure) -> Bool {
        // Only one compaction runs at a time, and flushes add to level 0 alone: below the output level nothing changes.
        var older = OlderRecords(version.runs.filter { $0.level > compaction.outputLevel })
        let cursor = MergeCursor(environment, isSequential: true)
        try cursor.seekToFirst([], compaction.inputs)
        var sinceCheck = 0
        while try cursor.next() {
            sinceCheck += 1
            if sinceCheck & 1023 == 1, mustStop.load(ordering: .relaxed) { return false }
            let key = cursor.key
            if let value = cursor.value {
                try output.add(key, value)
            } else if older.mayHold(key) {
                try output.add(key, nil)
            }
        }
        return true
    }
}

extension Run {
    /// The run's tables of one region; nil if there are none.
    func part(of region: Int) -> Run? {
        let part = tables.filter { $0.region == region }
        if part.count == tables.count { return self }
        return part.isEmpty ? nil : Run(level: level, sequence: sequence, tables: part)
    }

    var sizeBytes: UInt64 { tables.reduce(0) { $0 + $1.info.sizeBytes } }
}

/// Chooses what to compact next in a version. Each region is a tree of its own.
struct CompactionPicker {
    private let version: Version
    private let options: TableOptions

    /// So many deletions in level 0 are the end of a tree of files: no reason to wait for more runs.
    private static let manyDeletions: UInt64 = 10_000

    init(_ version: Version, _ options: TableOptions) {
        self.version = version
        self.options = options
    }

    func pick(thorough: Bool) -> Compaction? {
        var best: (score: Double, region: Int, level: Int)?
        for region in 0..<KeyRegion.count {
            for (level, score) in scores(region) where score >= 1 && score > best?.score ?? 0 { best = (score, region, level) }
        }
        if let best { return best.level == 0 ? levelZero(best.region) : cheapest(best.region, best.level) }
        return deletions(thorough: thorough)
    }

    private func scores(_ region: Int) -> [(level: Int, score: Double)] {
        var scores = [(0, Double(zeroRuns(region).count) / Double(options.levelZeroRunLimit))]
        for run in version.runs where run.level > 0 && run.level < TableInfo.maximumLevel {
            if let part = run.part(of: region) { scores.append((run.level, Double(part.sizeBytes) / target(run.level))) }
        }
        return scores
    }

    private func target(_ level: Int) -> Double {
        var target = Double(options.levelBaseSizeBytes)
        for _ in 1..<level { target *= Double(options.levelRatio) }
        return target
    }

    private func zeroRuns(_ region: Int) -> [Run] { version.runs.filter { $0.level == 0 }.compactMap { $0.part(of: region) } }

    /// All of a region's level 0, with what it overlaps of level 1.
    private func levelZero(_ region: Int) -> Compaction {
        let zero = zeroRuns(region)
        let tables = zero.flatMap(\.tables).sorted { order($0.info.smallest, $1.info.smallest) < 0 }
        let isDisjoint = zip(tables, tables.dropFirst()).allSatisfy { order($0.info.largest, $1.info.smallest) < 0 }
        if isDisjoint, tables.allSatisfy({ isMovable($0) && overlap($0, 1).isEmpty }) {
            return Compaction(inputs: zero, outputLevel: 1, isMove: true)
        }
        var below: [Table] = []
        if let first = tables.first, let largest = tables.map(\.info.largest).max() {
            below = version.run(level: 1)?.tables(from: first.info.smallest, through: largest) ?? []
        }
        return Compaction(inputs: zero + (below.isEmpty ? [] : [Run(level: 1, sequence: 0, tables: below)]), outputLevel: 1, isMove: false)
    }

    /// The table of a level whose merging rewrites the least for what it moves.
    private func cheapest(_ region: Int, _ level: Int) -> Compaction? {
        var best: (cost: Double, table: Table)?
        for table in version.run(level: level)?.tables ?? [] where table.region == region {
            let overlapping = overlap(table, level + 1).reduce(0) { $0 + $1.info.sizeBytes }
            let cost = Double(overlapping) / Double(table.info.sizeBytes)
            if cost < best?.cost ?? .infinity { best = (cost, table) }
        }
        return best.map { single($0.table, level) }
    }

    private func single(_ table: Table, _ level: Int) -> Compaction {
        let below = overlap(table, level + 1)
        let own = Run(level: level, sequence: 0, tables: [table])
        if below.isEmpty, isMovable(table) { return Compaction(inputs: [own], outputLevel: level + 1, isMove: true) }
        let inputs = [own] + (below.isEmpty ? [] : [Run(level: level + 1, sequence: 0, tables: below)])
        return Compaction(inputs: inputs, outputLevel: level + 1, isMove: false)
    }

    private func overlap(_ table: Table, _ level: Int) -> [Table] {
        version.run(level: level)?.tables(from: table.info.smallest, through: table.info.largest) ?? []
    }

    /// Small tables are rather merged, or they would only become more; and deletions leave only by being merged.
    private func isMovable(_ table: Table) -> Bool {
        table.info.sizeBytes * 4 >= UInt64(options.tableSizeBytes) && table.info.deletionCount * 4 < table.info.recordCount
    }

    /// Tables that are mostly deletions: merging them gives back what they hide.
    private func deletions(thorough: Bool) -> Compaction? {
        for run in version.runs where run.level > 0 && run.level < TableInfo.maximumLevel {
            let worst = run.tables.filter { $0.info.deletionCount * (thorough ? 4 : 2) >= $0.info.recordCount }
                .max { $0.info.deletionCount < $1.info.deletionCount }
            if let worst { return single(worst, run.level) }
        }
        for region in 0..<KeyRegion.count {
            let tables = zeroRuns(region).flatMap(\.tables)
            let (records, deletions) = tables.reduce((0, 0)) { ($0.0 + $1.info.recordCount, $0.1 + $1.info.deletionCount) }
            let isDue = thorough ? deletions * 4 >= records : deletions * 2 >= records && deletions >= Self.manyDeletions
            if deletions > 0, isDue { return levelZero(region) }
        }
        return nil
    }
}
