import Glibc

/// SplitMix64: the same numbers for the same seed, everywhere.
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// The seed of a random test: the one in `EFS_TEST_SEED`, or a new one, printed so that a failure can be run again.
package func seed(of test: String) -> UInt64 {
    if let text = getenv("EFS_TEST_SEED"), let seed = UInt64(String(cString: text)) { return seed }
    var random = SystemRandomNumberGenerator()
    let chosen = UInt64.random(in: 0..<1_000_000_000, using: &random)
    print("\(test): EFS_TEST_SEED=\(chosen) runs it again")
    return chosen
}
