import Records

/// Records in order, in leaves of at most `leafLimit`: enough for tests, with no dependence on how an engine does it.
struct SortedRecords: Sendable {
    private struct Key: Sendable {
        var kind: UInt8
        var first: UInt64
        var second: UInt64
        var name: [UInt8]

        init(_ key: RecordKey) {
            kind = key.kind
            first = key.first
            second = key.second
            name = [UInt8](key.name)
        }

        func isBefore(_ other: RecordKey) -> Bool {
            if kind != other.kind { return kind < other.kind }
            if first != other.first { return first < other.first }
            if second != other.second { return second < other.second }
            return name.withUnsafeBytes { compareBytes($0, other.name) < 0 }
        }

        func equals(_ other: RecordKey) -> Bool {
            kind == other.kind && first == other.first && second == other.second
                && name.withUnsafeBytes { compareBytes($0, other.name) == 0 }
        }
    }

    private struct Entry: Sendable {
        var key: Key
        var value: [UInt8]
    }

    private static let leafLimit = 256
    /// None is empty, except when there is one alone.
    private var leaves: [[Entry]] = [[]]
    private(set) var count = 0

    func value(of key: RecordKey) -> [UInt8]? {
        let place = lowerBound(key)
        guard place.index < leaves[place.leaf].count, leaves[place.leaf][place.index].key.equals(key) else { return nil }
        return leaves[place.leaf][place.index].value
    }

    mutating func put(_ key: RecordKey, _ value: UnsafeRawBufferPointer) {
        let (leaf, index) = lowerBound(key)
        if index < leaves[leaf].count, leaves[leaf][index].key.equals(key) {
            leaves[leaf][index].value = [UInt8](value)
            return
        }
        leaves[leaf].insert(Entry(key: Key(key), value: [UInt8](value)), at: index)
        count += 1
        if leaves[leaf].count > Self.leafLimit {
            let half = leaves[leaf].count / 2
            let upper = Array(leaves[leaf][half...])
            leaves[leaf].removeSubrange(half...)
            leaves.insert(upper, at: leaf + 1)
        }
    }

    mutating func delete(_ key: RecordKey) {
        let (leaf, index) = lowerBound(key)
        guard index < leaves[leaf].count, leaves[leaf][index].key.equals(key) else { return }
        leaves[leaf].remove(at: index)
        count -= 1
        if leaves[leaf].isEmpty, leaves.count > 1 { leaves.remove(at: leaf) }
    }

    func scan(from lower: RecordKey, to upper: RecordKey, _ body: (RecordView) -> ScanStep) {
        var (leaf, index) = lowerBound(lower)
        while leaf < leaves.count {
            while index < leaves[leaf].count {
                guard leaves[leaf][index].key.isBefore(upper) else { return }
                if show(leaves[leaf][index], body) == .stop { return }
                index += 1
            }
            leaf += 1
            index = 0
        }
    }

    func holds(_ condition: Precondition) -> Bool {
        switch condition {
        case .absent(let key): value(of: key) == nil
        case .present(let key): value(of: key) != nil
        }
    }

    private func show(_ entry: Entry, _ body: (RecordView) -> ScanStep) -> ScanStep {
        entry.key.name.withUnsafeBytes { name in
            entry.value.withUnsafeBytes { value in
                body(
                    RecordView(
                        key: RecordKey(kind: entry.key.kind, first: entry.key.first, second: entry.key.second, name: name), value: value))
            }
        }
    }

    /// Where the first entry that is not before `key` is, or would go.
    private func lowerBound(_ key: RecordKey) -> (leaf: Int, index: Int) {
        var low = 0
        var high = leaves.count
        while low < high {
            let middle = (low + high) / 2
            if let last = leaves[middle].last, last.key.isBefore(key) { low = middle + 1 } else { high = middle }
        }
        let leaf = min(low, leaves.count - 1)
        low = 0
        high = leaves[leaf].count
        while low < high {
            let middle = (low + high) / 2
            if leaves[leaf][middle].key.isBefore(key) { low = middle + 1 } else { high = middle }
        }
        return (leaf, low)
    }
}
