import Glibc
import Sealing

extension KeyDerivationCost {
    /// So that a process that opens a volume stays below 300 MiB; what more time allows goes into passes.
    private static let largestChosenKibibytes = 192 << 10
    /// KiB times passes; no less is chosen, however slow the machine looks: RFC 9106's choice for little memory.
    private static let leastWork = 3 * Double(64 << 10)
    private static let probeKibibytes = 64 << 10

    /// A cost that takes about `seconds` on this machine. Memory is what makes guessing expensive on other hardware, so it comes
    /// first: three passes (RFC 9106 advises that, where there is not memory for 2 GiB) over as much memory as the time allows,
    /// at most a quarter of the machine's and 192 MiB; more passes where memory ends first.
    ///
    /// Takes a few times as long itself. Falls back to the smallest allowed memory on a machine with little.
    public static func calibrated(seconds: Double = 0.5) -> KeyDerivationCost {
        let limit = memoryLimitKibibytes()
        let probe = min(probeKibibytes, limit)
        // The first run also pays for starting up; the second is what an unlocking costs.
        _ = secondsTaken(by: KeyDerivationCost(passes: 1, memoryKibibytes: UInt32(min(probe, 16 << 10))))
        let first = choose(seconds: seconds, probeKibibytes: probe, probeSeconds: onePassSeconds(probe), limitKibibytes: limit)
        // What the choice takes as a whole is not what one pass says: the first pass also pays for fresh memory, and large memory costs
        // more for each KiB than small. So the choice itself is measured, and corrected once.
        let taken = min(secondsTaken(by: first) ?? .infinity, secondsTaken(by: first) ?? .infinity)
        return choose(
            seconds: seconds, probeKibibytes: Int(first.memoryKibibytes), probeSeconds: taken / Double(first.passes), limitKibibytes: limit)
    }

    /// The cost that fits `seconds` if one pass over `probeKibibytes` takes `probeSeconds`.
    static func choose(seconds: Double, probeKibibytes: Int, probeSeconds: Double, limitKibibytes: Int) -> KeyDerivationCost {
        let lowest = Int(minimum.memoryKibibytes)
        // KiB times passes.
        let affordable = max(Double(probeKibibytes) * seconds / max(probeSeconds, 1e-6), leastWork)
        let highest = max(lowest, min(limitKibibytes, largestChosenKibibytes))
        let wanted = min(affordable / 3, Double(highest))
        // Whole MiB: an odd number in `efs info` would only raise questions.
        let memory = max(lowest, Int(wanted) & ~1023)
        let passes = min(max((affordable / Double(memory)).rounded(), Double(minimum.passes)), Double(maximum.passes))
        return KeyDerivationCost(passes: UInt32(passes), memoryKibibytes: UInt32(memory))
    }

    /// The better of two runs: other programs only ever make it slower, and a cost that is too low stays in the header.
    private static func onePassSeconds(_ kibibytes: Int) -> Double {
        let cost = KeyDerivationCost(passes: 1, memoryKibibytes: UInt32(kibibytes))
        return min(secondsTaken(by: cost) ?? .infinity, secondsTaken(by: cost) ?? .infinity)
    }

    /// Nil if there is not memory enough.
    static func secondsTaken(by cost: KeyDerivationCost) -> Double? {
        let password = SecretBytes.random(count: 16)
        let start = threadSeconds()
        guard (try? Argon2.derive(from: password, salt: [UInt8](repeating: 0, count: Argon2.saltSizeBytes), cost: cost)) != nil else {
            return nil
        }
        return threadSeconds() - start
    }

    /// A quarter of the machine's memory.
    private static func memoryLimitKibibytes() -> Int { max(Int(minimum.memoryKibibytes), machineKibibytes() / 4) }

    /// The machine's memory; where it does not say, twice what the least derivation needs.
    static func machineKibibytes() -> Int {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        let pageSize = sysconf(Int32(_SC_PAGESIZE))
        guard pages > 0, pageSize > 0 else { return 2 * Int(minimum.memoryKibibytes) }
        return pages * (pageSize / 1024)
    }

    /// The processor time of this thread: on a busy machine the clock on the wall would choose a cost that is cheap to guess.
    private static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
