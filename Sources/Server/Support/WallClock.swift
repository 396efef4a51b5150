import Glibc

/// The machine's clock, in whole seconds since 1970; a test can set its own.
struct WallClock: Sendable {
    var now: @Sendable () -> Int64
    /// Seconds since some moment, for rates.
    var monotonic: @Sendable () -> Double

    static let system = WallClock(
        now: {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return Int64(time.tv_sec)
        }, monotonic: { monotonicSeconds() })

    /// Seconds since some moment, for durations; cheap, to a few milliseconds.
    static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
