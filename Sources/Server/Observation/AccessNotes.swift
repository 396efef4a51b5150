import Sealing
import Synchronization

/// What is found out of a request while it is answered, for the audit log and the metrics. Thread-safe.
final class AccessNotes: Sendable {
    struct State {
        var user = ""
        var fileSystem = ""
        /// One path, or from where and to where.
        var paths: [RequestPath] = []
        var pathKey: SecretBytes?
        var received: Int64 = 0
        var sent: Int64 = 0
    }

    private let state = Mutex(State())

    var current: State { state.withLock { $0 } }
    /// Content of files.
    var bytes: (received: Int64, sent: Int64) { state.withLock { ($0.received, $0.sent) } }

    func set(user: String, fileSystem: String) {
        state.withLock { state in
            state.user = user
            state.fileSystem = fileSystem
        }
    }

    func add(_ path: RequestPath, _ key: SecretBytes) {
        state.withLock { state in
            state.paths.append(path)
            state.pathKey = key
        }
    }

    func add(received count: Int) { state.withLock { $0.received += Int64(count) } }
    func add(sent count: Int) { state.withLock { $0.sent += Int64(count) } }
}
