/// A segment as it changes in memory.
struct SegmentState {
    var facts: SegmentFacts
    /// Bytes of chunks that were written, or are about to be, and that no applied batch named yet.
    var unclaimedBytes: Int64 = 0
    /// Still written to.
    var isActive = false
    /// Holds data that its headers do not lead to, or that cannot be read.
    var isUncleanable = false
}

/// All segments of a volume by their numbers, with running totals: what is asked each second does not take time that grows with the
/// volume. Not thread-safe.
struct SegmentTable {
    /// Sums wrap: numbers that a stranger sealed into a manifest may make them nonsense, and nothing worse.
    struct Totals: Equatable {
        var sizeBytes: Int64 = 0
        var liveBytes: Int64 = 0
        /// Of segments that are written in full: what no extent points to.
        var garbageBytes: Int64 = 0
        /// Of segments that are written in full and hold nothing that an extent points to or may come to point to.
        var emptyBytes: Int64 = 0

        fileprivate mutating func add(_ state: SegmentState, times factor: Int64) {
            let size = Int64(state.facts.sizeBytes) &* factor
            let live = state.facts.liveBytes &* factor
            sizeBytes &+= size
            liveBytes &+= live
            if state.isActive { return }
            garbageBytes &+= size &- live
            if state.facts.liveBytes == 0, state.unclaimedBytes == 0 { emptyBytes &+= size }
        }
    }

    private var states: [UInt64: SegmentState] = [:]
    private(set) var totals = Totals()

    init(_ facts: [UInt64: SegmentFacts] = [:]) {
        for one in facts.values { self[one.number] = SegmentState(facts: one) }
    }

    var count: Int { states.count }
    var values: Dictionary<UInt64, SegmentState>.Values { states.values }
    var facts: [UInt64: SegmentFacts] { states.mapValues(\.facts) }

    subscript(_ number: UInt64) -> SegmentState? {
        get { states[number] }
        set {
            if let old = states[number] { totals.add(old, times: -1) }
            if let newValue { totals.add(newValue, times: 1) }
            states[number] = newValue
        }
    }

    /// Changes what is known of a segment; nothing happens if there is none of that number.
    mutating func update(_ number: UInt64, _ change: (inout SegmentState) -> Void) {
        guard let index = states.index(forKey: number) else { return }
        totals.add(states.values[index], times: -1)
        change(&states.values[index])
        totals.add(states.values[index], times: 1)
    }
}
