import Synchronization

/// Passes lines on to whoever reads them, but of one kind at most one in a while: a failure that comes with each request, or each
/// second, is told without filling a disk. Thread-safe.
public final class ReportLimiter: Sendable {
    private let last = Mutex<[String: Double]>([:])
    private let intervalSeconds: Double
    private let pass: @Sendable (String) -> Void
    /// What is remembered; of more kinds at once the oldest is forgotten.
    private static let kindLimit = 64

    /// - Parameter pass: given each line that is to be read.
    public init(intervalSeconds: Double = 60, _ pass: @escaping @Sendable (String) -> Void) {
        self.intervalSeconds = intervalSeconds
        self.pass = pass
    }

    /// Passes the line on if none of its kind was in the last `intervalSeconds`. Without a kind the line is its own.
    public func report(_ text: String, like kind: String? = nil) {
        if isDue(kind ?? text, at: Clock.seconds()) { pass(text) }
    }

    func isDue(_ kind: String, at now: Double) -> Bool {
        last.withLock { last in
            if let before = last[kind], now - before < intervalSeconds { return false }
            if last.count >= Self.kindLimit, let oldest = last.min(by: { $0.value < $1.value })?.key { last[oldest] = nil }
            last[kind] = now
            return true
        }
    }
}
