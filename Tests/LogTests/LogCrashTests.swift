import BlobStorage
import Records
import Syscalls
import Testing

@testable import Log

/// A power cut at every point of short histories: what was acknowledged is there, the whole is the state after one commit, what it
/// refers to can be read, and the volume goes on. Recovery is cut short as well.
@Suite struct LogCrashTests {
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func everyPowerCut(seed: UInt64) throws {
        try check(seed: seed, CrashHistory.Kinds())
    }

    @Test(arguments: 11...11 as ClosedRange<UInt64>) func everyPowerCutWithZerosAhead(seed: UInt64) throws {
        try check(seed: seed, CrashHistory.Kinds(zeros: true))
    }

    @Test(arguments: 21...22 as ClosedRange<UInt64>) func everyPowerCutWithCleaning(seed: UInt64) throws {
        try check(seed: seed, CrashHistory.Kinds(cleaning: true))
    }

    private func check(seed: UInt64, _ kinds: CrashHistory.Kinds) throws {
        let history = CrashHistory(seed: seed, kinds)
        try history.run(steps: 32)
        #expect(history.storage.operationCount > history.firstPoint + 30)
        try history.storage.forEachPowerCut(from: history.firstPoint, seeds: 0..<4) { point, cut, left in
            try check(history, point, cut, left, "seed \(seed), point \(point), cut \(cut)")
        }
    }

    private func check(_ history: CrashHistory, _ point: Int, _ cut: UInt64, _ left: CrashContents, _ place: String) throws {
        let allowed = history.states(at: point)
        let storage = CrashStorage(left)
        do {
            let log = try openLog(storage, options: CrashHistory.options)
            let found = try log.everything()
            #expect(allowed.contains(found), "\(place): \(found.count) records are the state after none of the commits it could be")
            try log.expectWhole(found, place)
            try goOn(log, storage, found, place)
            // A second power cut while the first is being recovered from.
            if (UInt64(point) &+ cut) % 8 == 0 {
                try storage.forEachPowerCut(every: 3, seeds: cut..<cut + 1) { again, _, left in
                    let second = try openLog(CrashStorage(left), options: CrashHistory.options)
                    var found = try second.everything()
                    try second.expectWhole(found, "\(place), again \(again)")
                    found[CrashHistory.Key(kind: .inode, number: 777)] = nil
                    #expect(allowed.contains(found), "\(place), again \(again)")
                }
            }
        } catch { Issue.record("\(place): \(error)") }
    }

    /// The volume is written on, its strays are cleared away, and it is read again.
    private func goOn(_ log: VolumeLog, _ storage: CrashStorage, _ before: CrashHistory.Records, _ place: String) throws {
        var expected = before
        expected[CrashHistory.Key(kind: .inode, number: 777)] = [7]
        try log.durable(try log.put(777, 0, [7]))
        try log.maintain()
        #expect(try log.everything() == expected, "\(place), going on")
        var left = storage.contents
        storage.forEachPowerCut(from: storage.operationCount, seeds: 0..<1) { _, _, dropped in left = dropped }
        let again = try openLog(CrashStorage(left), options: CrashHistory.options)
        #expect(try again.everything() == expected, "\(place), after going on")
        try again.expectWhole(expected, "\(place), after going on")
    }
}

extension VolumeLog {
    /// All records of the kinds that the histories write.
    func everything() throws(Failure) -> CrashHistory.Records {
        var result: CrashHistory.Records = [:]
        for kind in [RecordKind.inode, .extent] {
            try scan(from: RecordKey(kind, 0), to: RecordKey(kind, .max)) { key, value in
                result[CrashHistory.Key(kind: kind, number: key.first)] = Array(value)
                return true
            }
        }
        return result
    }

    /// Every chunk reads back, and the live bytes of each segment are those of the chunks that records point to.
    func expectWhole(_ records: CrashHistory.Records, _ place: String) throws {
        var live: [UInt64: Int64] = [:]
        for (key, value) in records where key.kind == .extent {
            let extent = CrashHistory.Extent(decoding: value)
            live[extent.chunk.segment, default: 0] += Int64(extent.chunk.sizeBytes)
            #expect(try readChunk(extent.chunk) == extent.bytes, "\(place): chunk of extent \(key.number)")
        }
        for facts in segments.facts.values {
            #expect(facts.liveBytes == live[facts.number] ?? 0, "\(place): live bytes of segment \(facts.number)")
        }
        for number in live.keys { #expect(segments[number] != nil, "\(place): segment \(number) is gone") }
    }
}
