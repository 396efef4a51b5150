import Synchronization
import Syscalls
import Testing

@testable import FUSE

@Suite struct LeadershipTests {
    /// A leader that is stuck in a request loses the lead; one that finishes in time keeps it.
    @Test func deputyTakesOver() {
        let leadership = Leadership()
        #expect(leadership.acquire())
        for _ in 0..<100 {
            let mark = leadership.begin()
            #expect(leadership.finish(mark))
        }
        let stuck = leadership.begin()
        let took = Counter()
        let others = (0..<3).map { _ in
            WorkerThread(name: "follower") { if leadership.acquire() { took.add() } }
        }
        while took.value == 0 { waitAMoment() }
        #expect(!leadership.finish(stuck))
        #expect(took.value == 1)
        leadership.release()
        while took.value == 1 { waitAMoment() }
        leadership.end(nil)
        for other in others { other.join() }
        #expect(took.value == 2)
        #expect(!leadership.acquire())
    }

    /// Each leader that gets stuck is followed by another, until all are.
    @Test(.timeLimit(.minutes(1))) func chainOfStuckLeaders() {
        let leadership = Leadership()
        let stuck = Counter()
        let threads = (0..<4).map { _ in
            WorkerThread(name: "worker") {
                guard leadership.acquire() else { return }
                let mark = leadership.begin()
                stuck.add()
                while !leadership.hasEnded { waitAMoment() }
                _ = leadership.finish(mark)
            }
        }
        let deadline = monotonicNanoseconds() + 20_000_000_000
        while stuck.value < 4, monotonicNanoseconds() < deadline { waitAMoment() }
        #expect(stuck.value == 4)
        leadership.end(nil)
        for thread in threads { thread.join() }
    }

    /// A spare worker leads when the last of the others is held up, and not while one of them waits for the lead.
    @Test(.timeLimit(.minutes(1))) func aSpareLeadsWhenNobodyElseWould() {
        let leadership = Leadership()
        #expect(leadership.acquire())
        let (spares, others) = (Counter(), Counter())
        let spare = WorkerThread(name: "spare") { if leadership.acquireAsSpare() { spares.add() } }
        let other = WorkerThread(name: "other") { if leadership.acquire() { others.add() } }
        // The other becomes the deputy, which takes the lead from a leader that is stuck.
        let stuck = leadership.begin()
        while others.value == 0 { waitAMoment() }
        #expect(!leadership.finish(stuck))
        #expect(spares.value == 0)
        leadership.release()
        while spares.value == 0 { waitAMoment() }
        leadership.end(nil)
        for thread in [spare, other] { thread.join() }
        #expect(spares.value == 1 && others.value == 1)
        #expect(!leadership.acquireAsSpare())
    }

    /// One leader at any time, whoever releases, gets stuck or finishes.
    @Test func neverTwoLeaders() {
        let leadership = Leadership()
        let leaders = Counter()
        let rounds = Counter()
        let threads = (0..<4).map { number in
            WorkerThread(name: "worker-\(number)") {
                var generator = SplitMix(state: UInt64(number))
                while leadership.acquire() {
                    if leaders.add() != 1 { Issue.record("two leaders") }
                    leaders.subtract()
                    rounds.add()
                    if rounds.value > 3000 { leadership.end(nil) }
                    if Bool.random(using: &generator) {
                        leadership.release()
                    } else {
                        let mark = leadership.begin()
                        if UInt8.random(in: 0..<32, using: &generator) == 0 { waitAMoment(milliseconds: 2) }
                        if leadership.finish(mark) { leadership.release() }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(rounds.value > 3000)
    }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    @discardableResult func add() -> Int { count.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
    func subtract() { count.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
}

/// Lets time pass, where passing time is what is tested.
func waitAMoment(milliseconds: Int = 1) {
    let monitor = Monitor()
    monitor.withLock { _ = monitor.wait(seconds: Double(milliseconds) / 1000) }
}
