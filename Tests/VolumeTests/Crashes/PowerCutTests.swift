import DiskSimulation
import Glibc
import LinuxTesting
import Syscalls
import Testing

@testable import FileSystem
@testable import Log

/// Every short history of a volume, and a power cut at every point of it: what was promised is there, the whole is the state after one step,
/// the password is one that was set, a check finds nothing, and the volume goes on. `EFS_TEST_FULL` takes all histories of up to three steps;
/// otherwise it is all of one step and some of two and three, by a seed. `EFS_TEST_SEQUENCE=create,write,sync` runs one again,
/// `EFS_TEST_SEED` the same choice.
@Suite struct PowerCutTests {
    private static let volumes = DiskVolumes()
    private static let base = try? CrashBase(volumes)
    private static var isFull: Bool { getenv("EFS_TEST_FULL") != nil }

    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    static let seed: UInt64 = {
        let seed = number("EFS_TEST_SEED") ?? UInt64.random(in: 0..<1_000_000_000)
        print("power cuts: seed \(seed) (EFS_TEST_SEED=… runs the same again)")
        return seed
    }()

    /// Runs the steps and cuts power at each point of the last one, or of all.
    private func check(_ steps: [CrashStep], ofAll: Bool, _ plan: PowerCutPlan? = nil) throws {
        let place = "EFS_TEST_SEQUENCE=\(CrashStep.text(steps)) EFS_TEST_SEED=\(Self.seed)"
        let run = try CrashRun(Self.volumes, try #require(Self.base))
        for step in steps {
            do { try run.run(step) } catch {
                Issue.record("\(place): \(error)")
                return
            }
        }
        run.abandon()
        var plan = plan ?? (Self.isFull ? .thorough : PowerCutPlan())
        plan.seed = Self.seed
        if !ofAll { plan.firstPoint = run.lastStepPoint }
        var check = try CrashCheck(run, place)
        check.check(plan)
        #expect(check.recoveries > 0, "\(place)")
    }

    @Test(arguments: CrashStep.allCases) func historiesOfOneStep(step: CrashStep) throws { try check([step], ofAll: true) }

    /// All histories of two and three steps that begin with this one; of the points in time those of the last step, since the others are
    /// those of a shorter history.
    @Test(.enabled(if: isFull), arguments: CrashStep.allCases) func allHistories(first: CrashStep) throws {
        for second in CrashStep.allCases {
            try check([first, second], ofAll: false)
            for third in CrashStep.allCases { try check([first, second, third], ofAll: false) }
        }
    }

    @Test(.disabled(if: isFull), arguments: 0..<10) func someHistories(number: Int) throws {
        var random = SeededGenerator(seed: Self.seed &+ UInt64(number))
        let steps = (0..<(number % 3 == 0 ? 2 : 3)).map { _ in CrashStep.allCases.randomElement(using: &random) ?? .sync }
        try check(steps, ofAll: true)
    }

    @Test(.enabled(if: getenv("EFS_TEST_SEQUENCE") != nil)) func theHistoryThatIsAskedFor() throws {
        let text = getenv("EFS_TEST_SEQUENCE").map { String(cString: $0) } ?? ""
        try check(try #require(CrashStep.sequence(text), "not a sequence of steps: \(text)"), ofAll: true)
    }

    /// Long histories; of the points in time some, but each recovery is cut short again.
    @Test(arguments: 0..<(isFull ? 40 : 2)) func longHistories(number: Int) throws {
        var random = SeededGenerator(seed: Self.seed &+ 1000 &+ UInt64(number))
        let steps = (0..<60).map { _ in CrashStep.allCases.randomElement(using: &random) ?? .sync }
        var plan = PowerCutPlan()
        plan.stride = Self.isFull ? 7 : 67
        try check(steps, ofAll: true, plan)
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
