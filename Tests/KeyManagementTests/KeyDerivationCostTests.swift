import Sealing
import Syscalls
import Testing

@testable import KeyManagement

@Suite struct KeyDerivationCostTests {
    /// Every choice is within bounds and, unless a bound stands in the way, near the time that was asked for.
    @Test func choicesAreWithinBoundsAndNearTheTime() {
        for limit in [1, 8 << 10, 64 << 10, 500 << 10, 1 << 20, 64 << 20] {
            for exponent in -6...4 {
                let probeSeconds = 0.04 * [1.0, 3.0, 10.0][(exponent + 6) % 3] * Double(exponent + 7) / 7
                for seconds in [0.0, 0.01, 0.5, 5, 1000] {
                    let cost = KeyDerivationCost.choose(
                        seconds: seconds, probeKibibytes: 64 << 10, probeSeconds: probeSeconds, limitKibibytes: limit)
                    #expect(cost.isWithinBounds)
                    #expect(Int(cost.memoryKibibytes) <= max(8 << 10, min(limit, 1 << 20)))
                    let expected = Double(cost.passes) * Double(cost.memoryKibibytes) / Double(64 << 10) * probeSeconds
                    // RFC 9106's choice where there is little memory; no less, however slow the machine.
                    let work = Double(cost.passes) * Double(cost.memoryKibibytes)
                    #expect(cost.passes == 16 || work >= 0.8 * 3 * 65_536)
                    let atBound = cost.passes == 16 || work < 1.2 * 3 * 65_536
                    #expect(atBound || (0.7...1.4).contains(expected / seconds), "\(cost) for \(seconds) s takes \(expected) s")
                }
            }
        }
    }

    /// On a machine with nothing else to do the clock on the wall says the same.
    @Test func whatIsChosenTakesAboutHalfASecond() throws {
        let cost = KeyDerivationCost.calibrated()
        // The better of two: other tests run at the same time.
        let taken = (0..<2).compactMap { _ in KeyDerivationCost.secondsTaken(by: cost) }.min()
        #expect((0.35...0.9).contains(try #require(taken)), "\(cost) takes \(taken ?? 0) s")
    }

    @Test func anUnmeasurableMachineGetsTheLeast() {
        let cost = KeyDerivationCost.choose(
            seconds: 0.5, probeKibibytes: 64 << 10, probeSeconds: .infinity, limitKibibytes: 1 << 20)
        #expect(cost == KeyDerivationCost(passes: 3, memoryKibibytes: 64 << 10))
    }

    @Test func calibrationIsWithinBounds() {
        #expect(KeyDerivationCost.calibrated(seconds: 0.05).isWithinBounds)
    }

    /// Where memory is overcommitted, taking what is not there would get a process killed.
    @Test func moreMemoryThanTheMachineHasIsNotTried() throws {
        let cost = KeyDerivationCost(passes: 1, memoryKibibytes: 8 << 10)
        func derive(machineKibibytes: Int) throws(Failure) {
            _ = try Argon2.derive(from: secret("a"), salt: [UInt8](repeating: 1, count: 16), cost: cost, machineKibibytes: machineKibibytes)
        }
        do throws(Failure) {
            try derive(machineKibibytes: 10 << 10)
            Issue.record("it was tried")
        } catch {
            #expect(error.kind == .notPermitted)
            #expect(error.message.contains("8 MiB of memory are needed, this machine has 10 MiB"))
        }
        try derive(machineKibibytes: 12 << 10)
        #expect(KeyDerivationCost.machineKibibytes() > 64 << 10)
    }

    @Test func derivationDependsOnEverything() throws {
        let salt = [UInt8](repeating: 1, count: 16)
        func derive(_ password: String, _ salt: [UInt8], _ passes: UInt32, _ memory: UInt32) throws -> [UInt8] {
            let cost = KeyDerivationCost(passes: passes, memoryKibibytes: memory)
            return try Argon2.derive(from: secret(password), salt: salt, cost: cost).withUnsafeBytes { Array($0) }
        }
        let first = try derive("a", salt, 1, 8192)
        #expect(try derive("a", salt, 1, 8192) == first)
        #expect(try derive("b", salt, 1, 8192) != first)
        #expect(try derive("a", [UInt8](repeating: 2, count: 16), 1, 8192) != first)
        #expect(try derive("a", salt, 2, 8192) != first)
        #expect(try derive("a", salt, 1, 8193) != first)
    }
}
