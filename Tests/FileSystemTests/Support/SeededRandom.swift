import Glibc

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func element<T>(_ values: [T]) -> T { values[below(values.count)] }
}

/// The seeds of a random test: the one in `EFS_TEST_SEED`, or new ones, printed so that a failure can be run again.
func seeds(_ count: Int, _ test: String) -> [UInt64] {
    if let text = getenv("EFS_TEST_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    var random = SystemRandomNumberGenerator()
    let chosen = (0..<count).map { _ in UInt64.random(in: 0..<1_000_000_000, using: &random) }
    print("\(test): seeds \(chosen) (EFS_TEST_SEED=… runs one again)")
    return chosen
}
