import Glibc

/// How fast the ciphers are on this machine, for `efs speed`.
public enum SealingSpeed {
    public struct Row: Sendable {
        public var suite: CipherSuite
        public var blockSizeBytes: Int
        /// In units of 2^20 bytes of plaintext, on one core, in place.
        public var sealMebibytesPerSecond: Double
        public var openMebibytesPerSecond: Double
    }

    public static let defaultBlockSizesBytes = [4 << 10, 64 << 10]

    /// Measures each suite with each size, sealing and opening for about `secondsEach` (0.1 is steady enough).
    public static func measure(
        suites: [CipherSuite] = CipherSuite.allCases, blockSizesBytes: [Int] = defaultBlockSizesBytes, secondsEach: Double = 0.1
    ) -> [Row] {
        var rows: [Row] = []
        for suite in suites {
            let cipher = BlobCipher(suite: suite, key: .random(count: CipherSuite.keySizeBytes))
            for size in blockSizesBytes { rows.append(cipher.withContext { measure($0, sizeBytes: size, seconds: secondsEach) }) }
        }
        return rows
    }

    private static func measure(_ context: CipherContext, sizeBytes: Int, seconds: Double) -> Row {
        let sealedSize = sizeBytes + CipherSuite.tagSizeBytes
        let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: sealedSize, alignment: 4096)
        let sealed = UnsafeMutableRawBufferPointer.allocate(byteCount: sealedSize, alignment: 4096)
        defer {
            plain.deallocate()
            sealed.deallocate()
        }
        memset(plain.baseAddress!, 0x5a, plain.count)
        let associated = [UInt8](repeating: 1, count: 48)
        let text = UnsafeRawBufferPointer(rebasing: plain[..<sizeBytes])
        var frame: UInt64 = 0
        let sealing = associated.withUnsafeBytes { associated in
            rate(seconds) {
                frame += 1
                context.seal(text, nonce: SealingNonce(frame: frame, block: 0), authenticating: associated, into: sealed)
            }
        }
        let opening = associated.withUnsafeBytes { associated in
            rate(seconds) {
                let ok = context.open(
                    UnsafeRawBufferPointer(sealed), nonce: SealingNonce(frame: frame, block: 0), authenticating: associated, into: plain)
                precondition(ok, "what was sealed opens")
            }
        }
        let mebibytes = Double(sizeBytes) / Double(1 << 20)
        return Row(
            suite: context.suite, blockSizeBytes: sizeBytes, sealMebibytesPerSecond: mebibytes * sealing,
            openMebibytesPerSecond: mebibytes * opening)
    }

    /// Calls of `body` per second: the best of ten slices of the time, since other programs only ever slow it down.
    private static func rate(_ seconds: Double, _ body: () -> Void) -> Double {
        var best = 0.0
        for _ in 0..<10 {
            let start = monotonicSeconds()
            var calls = 0
            var elapsed = 0.0
            repeat {
                for _ in 0..<16 { body() }
                calls += 16
                elapsed = monotonicSeconds() - start
            } while elapsed < seconds / 10
            best = max(best, Double(calls) / elapsed)
        }
        return best
    }

    private static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
