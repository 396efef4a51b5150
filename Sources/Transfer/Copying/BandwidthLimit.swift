import NIOCore
import NIOPosix
import Synchronization

/// Spreads bytes over time: each piece books its place on a line, and waits until that has come. All files of a copy share one.
final class BandwidthLimit: Sendable {
    private let bytesPerSecond: UInt64
    private let clock = ContinuousClock()
    private let nextFree: Mutex<ContinuousClock.Instant>

    init(bytesPerSecond: UInt64) {
        self.bytesPerSecond = max(bytesPerSecond, 1)
        nextFree = Mutex(clock.now)
    }

    func take(_ bytes: Int) async throws {
        let now = clock.now
        let start = nextFree.withLock { next in
            let start = max(next, now)
            next = start + .nanoseconds(Int64(Double(bytes) / Double(bytesPerSecond) * 1e9))
            return start
        }
        guard start > now else { return }
        let (seconds, attoseconds) = (start - now).components
        // The limit is time itself: there is no event to wait for but the clock's.
        let wait = TimeAmount.nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: wait) {}.futureResult.get()
        try Task.checkCancellation()
    }
}
