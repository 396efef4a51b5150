import HTTPTypes
import Sealing
import Synchronization

/// The users of all file systems, by name, and how fast each may ask. Thread-safe.
final class UserDirectory: Sendable {
    private struct Entry {
        var user: User
        var allowance: Double
        /// Seconds since some moment.
        var last: Double
    }

    private let entries: Mutex<[String: Entry]>

    init(_ users: [User]) {
        var entries: [String: Entry] = [:]
        for user in users { entries[user.name] = Entry(user: user, allowance: .infinity, last: 0) }
        self.entries = Mutex(entries)
    }

    func user(_ name: String) -> User? { entries.withLock { $0[name]?.user } }
    var all: [User] { entries.withLock { $0.values.map(\.user).sorted { $0.name < $1.name } } }

    /// Adds the user or replaces the one of that name, at once for all requests.
    func put(_ user: User) {
        entries.withLock { entries in
            if entries[user.name] != nil {
                entries[user.name]?.user = user
            } else {
                entries[user.name] = Entry(user: user, allowance: .infinity, last: 0)
            }
        }
    }

    /// Takes one request from what the user may make. Fails with `rate-limited`.
    func spend(_ user: User, _ options: ServerOptions, now: Double) throws(Problem) {
        let rate = Double(user.record.requestsPerSecond ?? options.requestsPerSecond)
        let isAllowed = entries.withLock { entries -> Bool in
            guard var entry = entries[user.name] else { return false }
            entry.allowance = min(entry.allowance + (now - entry.last) * rate, 2 * rate)
            entry.last = now
            let isAllowed = entry.allowance >= 1
            if isAllowed { entry.allowance -= 1 }
            entries[user.name] = entry
            return isAllowed
        }
        guard isAllowed else {
            throw Problem(.tooManyRequests, "rate-limited", "this user asks too often").with(.retryAfter, "1")
        }
    }
}
