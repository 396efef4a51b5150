import Records
public import Syscalls

/// What a check of a tree looked at.
public struct TableVerification: Sendable, Equatable {
    public var tableCount = 0
    public var recordCount: UInt64 = 0
    public var sizeBytes: UInt64 = 0
    public var damagedCount = 0
}

extension TableTree {
    /// Checks all tables of the present version and calls `report` for each that is damaged, with the first thing found.
    /// `deep`: authenticates every byte and checks every record; otherwise footers and top indexes only.
    public func verify(deep: Bool, _ report: (Failure) -> Void) -> TableVerification {
        let version = currentVersion()
        var result = TableVerification()
        for table in version.runs.flatMap(\.tables) {
            result.tableCount += 1
            result.recordCount += table.info.recordCount
            result.sizeBytes += table.info.sizeBytes
            do throws(Failure) {
                var verifier = try TableVerifier(table.info, environment)
                if deep { try verifier.verify() }
            } catch {
                result.damagedCount += 1
                report(error)
            }
        }
        withExtendedLifetime(version) {}
        return result
    }

    /// What of the tree's invariants does not hold; empty if all is well. For tests.
    public func _checkInvariants() -> [String] {
        let version = currentVersion()
        var broken: [String] = []
        for table in [version.active] + version.frozen.map(\.memory) { broken += table._checkInvariants() }
        for (newer, older) in zip(version.frozen, version.frozen.dropFirst()) where newer.sequence <= older.sequence {
            broken.append("frozen tables are not ordered by age")
        }
        for (before, after) in zip(version.runs, version.runs.dropFirst()) {
            let isOrdered = before.level < after.level || before.level == 0 && after.level == 0 && before.sequence > after.sequence
            if !isOrdered { broken.append("runs are not ordered by age") }
        }
        for run in version.runs {
            if run.tables.isEmpty { broken.append("an empty run") }
            for (before, after) in zip(run.tables, run.tables.dropFirst()) where order(before.info.largest, after.info.smallest) >= 0 {
                broken.append("tables of level \(run.level) overlap")
            }
            for table in run.tables where KeyRegion.of(kind: table.info.largest.kind) != table.region {
                broken.append("a table holds records of two regions")
            }
        }
        return broken
    }
}

extension MemoryTable {
    /// What of the table's invariants does not hold. Not beside a mutator. For tests.
    func _checkInvariants() -> [String] {
        var broken: [String] = []
        var below: Set<UInt> = []
        for level in 0..<MemoryNode.maximumHeight {
            var here: Set<UInt> = []
            var previous: MemoryNode?
            var node = head.next(level)
            while let current = node {
                here.insert(current.word)
                if let previous, previous.order(to: current.key) >= 0 { broken.append("level \(level) is out of order") }
                if current.height <= level { broken.append("a node is on too high a level") }
                if level == 0, index.find(current.key, hash: KeyHash.whole(current.key))?.word != current.word {
                    broken.append("the index does not find a node")
                }
                previous = current
                node = current.next(level)
            }
            if level > 0, !here.isSubset(of: below) { broken.append("level \(level) is no part of the one below") }
            if level == 0, here.count != count || index.slotsInUse != count { broken.append("the counts differ") }
            below = here
        }
        return broken
    }
}
