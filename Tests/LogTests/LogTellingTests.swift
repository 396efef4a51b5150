import BlobStorage
import Sealing
import Synchronization
import Syscalls
import Testing

@testable import Log

/// What a log says to be on stable storage, for those who remember it.
@Suite struct LogTellingTests {
    private final class Heard: Sendable {
        private let states = Mutex<[DurableState]>([])
        var all: [DurableState] { states.withLock { $0 } }
        func add(_ state: DurableState) { states.withLock { $0.append(state) } }
    }

    private func options(interval: Double, pause: Double, _ heard: Heard) -> LogOptions {
        var options = testOptions()
        options.tellIntervalSeconds = interval
        options.tellPauseSeconds = pause
        options.didBecomeDurable = { heard.add($0) }
        return options
    }

    private func doRound(_ log: VolumeLog) { _ = log.commitRound(Housekeeper.Wish()) }

    @Test func isToldOnceCommitsPauseOrTimeHasPassed() throws {
        for (interval, pause, isTold) in [
            (Double.infinity, Double.infinity, false), (0, .infinity, true), (.infinity, 0, true), (0, 0, true),
        ] {
            let heard = Heard()
            let log = try createLog(MemoryStorage(), options: options(interval: interval, pause: pause, heard))
            _ = try log.put(1, 0, [1])
            doRound(log)
            let before = heard.all.count
            try log.durable(log.currentToken())
            #expect(heard.all.count == before, "nothing is told by who waits for a commit")
            doRound(log)
            doRound(log)
            #expect(heard.all.count == before + (isTold ? 1 : 0))
            if isTold { #expect(heard.all.last == log.durable) }
        }
    }

    @Test func whatIsNotWrittenIsNotTold() throws {
        let heard = Heard()
        let storage = MemoryStorage()
        try createLog(storage).close()
        let log = try openLog(storage, options: options(interval: 0, pause: 0, heard))
        doRound(log)
        _ = try log.put(1, 0, [1])
        doRound(log)
        #expect(heard.all == [])
    }

    /// The last that can be told: after a failure there is no other round.
    @Test func aFailureDelaysNothing() throws {
        let heard = Heard()
        let log = try createLog(MemoryStorage(), options: options(interval: .infinity, pause: .infinity, heard))
        try log.durable(try log.put(1, 0, [1]))
        let durable = log.durable
        log.tail.poison(Failure(.inputOutput, "a test"))
        doRound(log)
        #expect(heard.all == [durable])
    }

    /// Whatever was told when the power fails is there when the volume is opened again, and its history bears out what was told.
    @Test func whatWasToldIsThereAfterEveryPowerCut() throws {
        let storage = CrashStorage()
        let heard = Heard()
        var told: [(point: Int, state: DurableState)] = []
        func round(_ log: VolumeLog) {
            doRound(log)
            if let last = heard.all.last, last != told.last?.state { told.append((storage.operationCount, last)) }
        }
        for session in 0..<3 as Range<UInt64> {
            let options = options(interval: 0, pause: 0, heard)
            let log = session == 0 ? try createLog(storage, options: options) : try openLog(storage, options: options)
            for key in 0..<4 as Range<UInt64> {
                round(log)
                try log.durable(try log.put(session * 4 + key, 0, [UInt8](repeating: 1, count: 3000)))
                round(log)
                if key == session + 1 { try log.checkpoint() }
                round(log)
            }
            // The second goes on behind a log that was not closed.
            if session == 1 { try log.close() } else { log.abandon() }
        }
        #expect(told.count > 12)
        try storage.forEachPowerCut(from: told[0].point, seeds: 0..<3) { point, seed, left in
            let seen = try #require(told.last { $0.point <= point }).state
            _ = try VolumeLog.open(CrashStorage(left), keys: testKeys, headerDigest: .zero, options: testOptions()) { history in
                let comment: Comment = "cut at \(point), seed \(seed)"
                #expect(history.mark.generation >= seen.mark.generation, comment)
                #expect((history.checkpoints + history.replayed).contains(seen.checkpoint), comment)
                let between = history.checkpoints.filter {
                    $0.generation > seen.checkpoint.generation && $0.generation < seen.mark.generation
                }
                #expect(between == [], comment)
            }
        }
    }
}
