/// Tells whether commits come one after another, by the clock: in intervals of some seconds.
struct CommitRate {
    static let manyCommits = 8
    private var start = -Double.infinity
    private var count = 0
    private var countBefore = 0

    /// Counts a commit; whether there were many in this interval, or in the one right before it.
    mutating func add(at now: Double, intervalSeconds: Double) -> Bool {
        if now - start >= intervalSeconds {
            countBefore = now - start < 2 * intervalSeconds ? count : 0
            count = 0
            start = now
        }
        count += 1
        return max(count, countBefore) > Self.manyCommits
    }
}
