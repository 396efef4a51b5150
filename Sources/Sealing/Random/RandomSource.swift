import CSodium
import Synchronization

/// Where names, salts and keys come from: the operating system, or, so that a test can be replayed, a seed. Thread-safe.
public struct RandomSource: RandomNumberGenerator, Sendable {
    private let seeded: SeededBytes?

    /// The operating system's generator (getrandom(2)).
    public static let system: RandomSource = {
        precondition(sodium_init() >= 0, "libsodium cannot start")
        return RandomSource(seeded: nil)
    }()

    /// The same bytes for the same seed and the same calls, for tests and test vectors only. A copy goes on where the original is.
    public static func seeded(_ seed: UInt64) -> RandomSource { RandomSource(seeded: SeededBytes(seed: seed)) }

    public func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return }
        if let seeded { seeded.fill(buffer) } else { randombytes_buf(base, buffer.count) }
    }

    public func next() -> UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { fill($0) }
        return UInt64(littleEndian: value)
    }

    public func bytes(count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            fill(UnsafeMutableRawBufferPointer(buffer))
            initialized = count
        }
    }

    public func secret(count: Int) -> SecretBytes { SecretBytes(count: count) { fill($0) } }
}

/// libsodium's deterministic stream; each call's stream has a number of its own in the seed.
private final class SeededBytes: Sendable {
    private let seed: UInt64
    private let calls = Mutex<UInt64>(0)

    init(seed: UInt64) { self.seed = seed }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        let call = calls.withLock { calls in
            calls += 1
            return calls
        }
        var key = (seed.littleEndian, call.littleEndian, UInt64(0), UInt64(0))
        withUnsafeBytes(of: &key) {
            randombytes_buf_deterministic(buffer.baseAddress!, buffer.count, $0.assumingMemoryBound(to: UInt8.self).baseAddress!)
        }
    }
}
