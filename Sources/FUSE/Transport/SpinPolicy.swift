/// Decides whether an idle leader looks for the next request in a loop before it sleeps.
///
/// On an idle machine the next request of a busy client comes within microseconds, while waking a sleeping thread, on another
/// processor, takes several times as long. Where other programs want the processor, or the client computes between two
/// requests, looking only takes time from them: so what has not paid off is left off, and tried again now and then.
struct SpinPolicy {
    private static let bestScore = 16
    private static let firstPause = 32
    private static let longestPause = 1024

    private var score = bestScore
    private var pause = firstPause
    private var pauseLeft = 0

    /// Whether to spin for the next request.
    mutating func shouldSpin() -> Bool {
        if pauseLeft == 0 { return true }
        pauseLeft -= 1
        if pauseLeft == 0 { score = 2 }
        return false
    }

    /// A spin ended with a request, or without.
    mutating func note(found: Bool) {
        if found {
            score = min(score + 1, Self.bestScore)
            if score == Self.bestScore { pause = Self.firstPause }
            return
        }
        score -= 3
        if score > 0 { return }
        pauseLeft = pause
        pause = min(pause * 2, Self.longestPause)
    }
}
