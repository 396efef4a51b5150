import Synchronization
import Syscalls
import SystemPackage

/// Keeps programs that meet the same failure again and again from filling the log: one like line a minute.
final class ReportLimit: Sendable {
    private static let intervalSeconds: Int64 = 60
    /// Kinds of line that are remembered; more of them are not told apart from the first ones of a minute.
    private static let memoryLimit = 256

    /// What makes two lines alike: all but the object that they are about.
    private struct Kind: Hashable {
        var kind: FailureKind
        var message: String
        var cause: Errno?
    }

    private let told = Mutex<[Kind: Int64]>([:])
    private let seconds: @Sendable () -> Int64

    init(seconds: @escaping @Sendable () -> Int64 = { Timestamp.now().seconds }) { self.seconds = seconds }

    /// Whether the failure is to be told now.
    func isDue(_ failure: Failure) -> Bool {
        let now = seconds()
        let kind = Kind(kind: failure.kind, message: failure.message, cause: failure.cause)
        return told.withLock { told in
            // A clock that was set back makes it due, too.
            if let last = told[kind], now >= last, now - last < Self.intervalSeconds { return false }
            if told.count >= Self.memoryLimit { told = told.filter { now >= $0.value && now - $0.value < Self.intervalSeconds } }
            guard told.count < Self.memoryLimit else { return false }
            told[kind] = now
            return true
        }
    }
}
