import Glibc

/// A moment as `struct timespec` has it: seconds since 1970, of either sign, and nanoseconds after that.
public struct Timestamp: Hashable, Sendable, Comparable {
    public var seconds: Int64
    /// 0 to 999,999,999.
    public var nanoseconds: UInt32

    @inlinable
    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (a: Timestamp, b: Timestamp) -> Bool { (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds) }

    /// The machine's clock (clock_gettime(2), CLOCK_REALTIME).
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}
