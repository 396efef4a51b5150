import FileSystem
import SystemPackage
import Testing

/// The same random operations on the file system, the model and a directory of the machine's own file system.
@Suite struct RealDirectoryTests {
    @Test(arguments: seeds(3, "realDirectory"))
    func sameAsARealDirectory(seed: UInt64) throws {
        guard let real = RealRunner() else {
            Issue.record("no directory can be made in /tmp")
            return
        }
        var run = try ModelRun(seed: seed)
        run.generator.isComparable = true
        run.generator.usesXattrs = real.hasXattrs
        var compared = 0
        for step in 0..<10_000 {
            let operation = run.generator.next(run.model)
            if Self.isBeyond(real, operation) { continue }
            let known = run.model.dead.count
            let expected = run.model.run(operation)
            let found = run.engine.run(operation)
            try #require(found == expected, "seed \(seed), step \(step): \(operation)")
            if let outcome = real.run(operation) {
                compared += 1
                let same = Self.comparable(outcome, real) == Self.comparable(expected, real)
                try #require(same, "seed \(seed), step \(step): \(operation) gives \(expected), really \(outcome)")
            }
            for node in run.model.dead[known...] { real.forget(node) }
        }
        try run.compareAll()
        #expect(compared > 5000)
    }

    private static func isBeyond(_ real: RealRunner, _ operation: Operation) -> Bool {
        switch operation {
        case .rename(_, _, _, _, let flags): flags.contains(.exchange) && !real.canExchange
        case .allocate: !real.canZeroRanges
        default: false
        }
    }

    /// Without what this machine's file system does not count.
    private static func comparable(_ outcome: Outcome, _ real: RealRunner) -> Outcome {
        guard case .node(var status) = outcome, status.type == .directory, !real.countsDirectoryLinks else { return outcome }
        status.linkCount = 0
        return .node(status)
    }
}
