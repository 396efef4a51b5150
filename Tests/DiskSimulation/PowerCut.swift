import Synchronization

/// One thing that a power cut can leave.
package struct PowerCut: Sendable {
    /// Changes and syncs that had been made when it came.
    package var point: Int
    /// Tells what of the changes reached the disk; equal for equal disks.
    package var key: [UInt64]
    fileprivate var past: Past
    fileprivate var choices: [UInt64]

    package var image: DiskImage { past.image(choices) }
    package var description: String {
        "power cut at \(point) that left changes below \(key.first ?? 0)"
            + (key.count > 1 ? ", but for (change, sectors kept) \(key.dropFirst())" : "")
    }
}

/// Which of the states that a power cut can leave are looked at.
package struct PowerCutPlan: Sendable {
    /// Up to so many uncertain changes, all subsets of them are taken. Of more: none, all, and of the newest ones each alone and all but it.
    package var exhaustiveLimit = 2
    /// How many of the newest uncertain changes are kept and lost alone, and torn in four ways if they are writes.
    package var newest = 2
    package var tears = true
    /// Further states, chosen by the seed: each change is kept, lost or torn by itself.
    package var samples = 1
    package var seed: UInt64 = 0
    /// Points in time before this one are passed over, and after it all but every `stride`th.
    package var firstPoint = 0
    package var stride = 1

    package init() {}

    /// Every uncertain change alone, all but it, and torn.
    package static var thorough: PowerCutPlan {
        var plan = PowerCutPlan()
        plan.exhaustiveLimit = 4
        plan.newest = .max
        plan.samples = 2
        return plan
    }
}

/// What is certain and what is not at a point in time.
private struct Past: Sendable {
    struct Pending: Sendable {
        var number: Int
        var change: DiskChange
        /// It would be certain, were it not for a change before it that a failed sync has made doubtful.
        var isCertain = false
    }

    private var certain: DiskImage
    /// Where the changes end of which the last is certain.
    private var certainEnd = 0
    private(set) var pending: [Pending] = []

    init(_ start: DiskImage) { certain = start }

    mutating func take(_ record: SimulatedDisk.Record, _ number: Int, _ doubtful: Set<Int>) {
        switch record {
        case .change(let change): pending.append(Pending(number: number, change: change))
        case .sync(let object):
            let isDoubtful = pending.contains { $0.change.object == object && doubtful.contains($0.number) }
            for index in pending.indices where pending[index].change.object == object && !doubtful.contains(pending[index].number) {
                certainEnd = max(certainEnd, pending[index].number + 1)
                // In order with what is doubtful.
                if isDoubtful { pending[index].isCertain = true } else { certain.perform(pending[index].change) }
            }
            if !isDoubtful { pending.removeAll { $0.change.object == object } }
        }
    }

    /// A choice for each pending change: 0 lost, 1 kept, else the sectors of a write that were written, as bits above the lowest.
    func image(_ choices: [UInt64]) -> DiskImage {
        var image = certain
        for (one, choice) in zip(pending, choices) where choice != 0 { image.perform(one.change, torn: choice == 1 ? nil : choice >> 1) }
        return image
    }

    /// What of the changes was lost or torn before the last one that was kept: the same for the same disk, also at another point.
    func key(_ choices: [UInt64]) -> [UInt64] {
        var end = certainEnd
        for (one, choice) in zip(pending, choices) where choice != 0 { end = max(end, one.number + 1) }
        var key = [UInt64(end)]
        for (one, choice) in zip(pending, choices) where choice != 1 && one.number < end { key += [UInt64(one.number), choice] }
        return key
    }

    func choices(_ plan: PowerCutPlan, point: Int) -> [[UInt64]] {
        let count = pending.count
        let none = pending.map { UInt64($0.isCertain ? 1 : 0) }
        if count == 0 { return [none] }
        let all = [UInt64](repeating: 1, count: count)
        var result: [[UInt64]] = [none, all]
        if count <= plan.exhaustiveLimit {
            for subset in 0..<(1 << count) { result.append((0..<count).map { UInt64(subset >> $0 & 1) }) }
        } else {
            for index in pending.indices.suffix(plan.newest) {
                for base in [none, all] { result.append(base.replacing(index, by: base[index] ^ 1)) }
            }
        }
        var chance = Chance(seed: plan.seed, point: point)
        if plan.tears {
            for index in pending.indices.suffix(plan.newest) where pending[index].change.sectorCount > 1 {
                for mask in Self.tears(pending[index].change.sectorCount, &chance) {
                    for base in [none, all] { result.append(base.replacing(index, by: mask)) }
                }
            }
        }
        for _ in 0..<plan.samples {
            result.append(pending.map { chance.next() % 3 == 0 && $0.change.sectorCount > 1 ? chance.tear() : chance.next() & 1 })
        }
        return result.map { choices in zip(pending, choices).map { $0.isCertain ? 1 : $1 } }
    }

    /// The first sector alone, all but the first, all but the last, and some.
    private static func tears(_ sectorCount: Int, _ chance: inout Chance) -> [UInt64] {
        let every = ~UInt64(1)
        return [0b10, every ^ 0b10, every ^ (1 << UInt64(min(sectorCount, 62))), chance.tear()]
    }
}

extension [UInt64] {
    fileprivate func replacing(_ index: Int, by new: UInt64) -> [UInt64] {
        var result = self
        result[index] = new
        return result
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
private struct Chance {
    private var state: UInt64

    init(seed: UInt64, point: Int) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(point) &* 0xD134_2543_DE82_EF95 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Some sectors, never marked as none or as the whole.
    mutating func tear() -> UInt64 { (next() & ~1) | 0b100 }
}

extension SimulatedDisk {
    /// Calls `visit` for what a power cut could leave, at the plan's points in time up to now, in order. What can be left at a later point
    /// as well as at an earlier one is visited again, with the same key: more may have been promised meanwhile.
    package func forEachPowerCut<E: Error>(_ plan: PowerCutPlan, _ visit: (PowerCut) throws(E) -> Void) throws(E) {
        let (start, records, doubtful) = state.withLock { ($0.start, $0.records, $0.doubtful) }
        var past = Past(start)
        for point in 0...records.count {
            if point >= plan.firstPoint, (point - plan.firstPoint) % plan.stride == 0 || point == records.count {
                var seen: Set<[UInt64]> = []
                for choices in past.choices(plan, point: point) {
                    let key = past.key(choices)
                    if !seen.insert(key).inserted { continue }
                    try visit(PowerCut(point: point, key: key, past: past, choices: choices))
                }
            }
            if point < records.count { past.take(records[point], point, doubtful) }
        }
    }

    /// What a power cut now leaves for sure.
    package var certain: DiskImage {
        let (start, records, doubtful) = state.withLock { ($0.start, $0.records, $0.doubtful) }
        var past = Past(start)
        for (number, record) in records.enumerated() { past.take(record, number, doubtful) }
        return past.image(past.pending.map { $0.isCertain ? 1 : 0 })
    }
}
