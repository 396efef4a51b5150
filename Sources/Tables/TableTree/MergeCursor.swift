import Records
import Syscalls

/// One sorted stream out of several, the newest record of each key only. Used again and again; one thread at a time.
///
/// Sources are ordered by age, the newest first: of equal keys the one of the lowest source counts. The number of sources is
/// small, so the least key is found by looking at all; and while one source stays before all others, only at the second least.
final class MergeCursor: @unchecked Sendable {
    // @unchecked: handed from thread to thread by the lock of the list of idle ones, never used by two at once.
    /// A source's present record.
    private struct Front {
        var key: RecordKey
        /// Nil for a deletion.
        var value: UnsafeRawBufferPointer?
        var isLive: Bool
    }

    private let environment: TableEnvironment
    private let isSequential: Bool
    private var memory: [MemoryCursor] = []
    private var runCursors: [RunCursor] = []
    /// One for each source: memory tables, then runs. Through a pointer, as each record goes through it: a class's own
    /// variables are checked for exclusive access at run time.
    private var fronts: UnsafeMutablePointer<Front>
    private var capacity = 8
    private var count = 0
    private var least = -1
    private var second = -1

    init(_ environment: TableEnvironment, isSequential: Bool = false) {
        self.environment = environment
        self.isSequential = isSequential
        fronts = .allocate(capacity: capacity)
    }

    deinit { fronts.deallocate() }

    /// Starts at the first record at or after `lower`. `upper` ends it, and must stay valid until `release`.
    func seek(
        _ active: MemoryTable?, _ frozen: [FrozenTable], _ runs: [Run], from lower: RecordKey, to upper: RecordKey
    ) throws(Failure) {
        prepare(active, frozen, runs.count)
        for index in memory.indices where memory[index].seek(lower) { showMemory(index) }
        let prefixHash = Self.isWithinPrefix(lower, upper) ? KeyHash.prefix(kind: lower.kind, first: lower.first) : nil
        for index in runs.indices
        where try runCursors[index].seek(runs[index], lower, upper: upper, prefixHash: prefixHash) { showRun(index) }
    }

    /// Starts at the first record of all.
    func seekToFirst(_ frozen: [FrozenTable], _ runs: [Run]) throws(Failure) {
        prepare(nil, frozen, runs.count)
        for index in memory.indices where memory[index].seekToFirst() { showMemory(index) }
        for index in runs.indices where try runCursors[index].seekToFirst(runs[index]) { showRun(index) }
    }

    private func prepare(_ active: MemoryTable?, _ frozen: [FrozenTable], _ runCount: Int) {
        memory.removeAll(keepingCapacity: true)
        if let active { memory.append(active.cursor()) }
        for table in frozen { memory.append(table.memory.cursor()) }
        while runCursors.count < runCount { runCursors.append(RunCursor(environment, isSequential: isSequential)) }
        count = memory.count + runCount
        if count > capacity {
            fronts.deallocate()
            capacity = count * 2
            fronts = .allocate(capacity: capacity)
        }
        fronts.initialize(repeating: Front(key: RecordKey(kind: 0, first: 0), value: nil, isLive: false), count: count)
        least = -1
        second = -1
    }

    /// Lets go of everything that it holds on to.
    func release() {
        memory.removeAll(keepingCapacity: true)
        for cursor in runCursors { cursor.release() }
        count = 0
    }

    /// Whether all keys from `lower` to before `upper` have the kind and first number of `lower`.
    static func isWithinPrefix(_ lower: RecordKey, _ upper: RecordKey) -> Bool {
        if lower.kind != upper.kind { return false }
        if lower.first == upper.first { return true }
        return lower.first < .max && upper.first == lower.first + 1 && upper.second == 0 && upper.name.count == 0
    }

    @inline(__always)
    private func showMemory(_ index: Int) {
        fronts[index] = Front(key: memory[index].key, value: memory[index].value, isLive: true)
    }

    @inline(__always)
    private func showRun(_ index: Int) {
        let record = runCursors[index].record
        fronts[memory.count + index] = Front(
            key: record.pointee.key, value: record.pointee.isDeletion ? nil : record.pointee.value, isLive: true)
    }

    private func advance(_ source: Int) throws(Failure) {
        if source < memory.count {
            if memory[source].next() { showMemory(source) } else { fronts[source].isLive = false }
        } else {
            let index = source - memory.count
            if try runCursors[index].next() { showRun(index) } else { fronts[source].isLive = false }
        }
    }

    /// Moves to the next record (the first one after a seek); false at the end.
    func next() throws(Failure) -> Bool {
        if least >= 0 {
            try advance(least)
            if fronts[least].isLive, second < 0 || order(fronts[least].key, fronts[second].key) < 0 { return true }
        }
        return try findLeast()
    }

    private func findLeast() throws(Failure) -> Bool {
        least = -1
        second = -1
        for source in 0..<count where fronts[source].isLive {
            guard least >= 0 else {
                least = source
                continue
            }
            var comparison = order(fronts[source].key, fronts[least].key)
            if comparison == 0 {
                // An older record of the same key is shadowed; the next one of that source is larger.
                try advance(source)
                guard fronts[source].isLive else { continue }
                comparison = 1
            }
            if comparison < 0 {
                second = least
                least = source
            } else if second < 0 || order(fronts[source].key, fronts[second].key) < 0 {
                second = source
            }
        }
        return least >= 0
    }

    var key: RecordKey { fronts[least].key }
    /// Nil for a deletion.
    var value: UnsafeRawBufferPointer? { fronts[least].value }
}
