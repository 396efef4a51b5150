import HTTPTypes
import Identity
package import Logging
import Sealing
import Synchronization
package import Syscalls

/// The server: its state, and what requests share. Thread-safe.
package final class ServerCore: Sendable {
    package let options: ServerOptions
    let layout: ServerLayout
    let logger: Logger
    let clock: WallClock
    let threads: EngineThreads
    let connections = ConnectionTable()
    let metrics = ServerMetrics()
    let audit: AuditLog
    let face = TLSFace()
    let cache: DecryptedCache
    /// Open: the server ends in order.
    package let stopGate = Gate()

    enum State: Sendable {
        case sealed(reason: String)
        case ready(Instance)
        case stopping
    }

    /// The server is being sealed, or ends: what takes long gives up.
    let isSealing = Atomic<Bool>(false)
    let isBackingUp = Atomic<Bool>(false)
    /// Held as long as this process may change anything below the root.
    private let rootLock: Mutex<OwnedDescriptor?>
    /// Of the health listener, once it listens.
    let healthPort = Atomic<Int>(0)
    private let state: Mutex<State>
    /// One administrative change at a time.
    let administration = AdministrationLock()

    package convenience init(options: ServerOptions, logger: Logger) throws(Failure) {
        try self.init(options: options, logger: logger, clock: .system)
    }

    init(options: ServerOptions, logger: Logger, clock: WallClock) throws(Failure) {
        self.options = options
        self.logger = logger
        self.clock = clock
        layout = ServerLayout(root: options.root)
        try ServerFiles.makeDirectory(options.root)
        try ServerFiles.makeDirectory(layout.server)
        try ServerFiles.makeDirectory(layout.log)
        rootLock = Mutex(try ServerFiles.lock(layout.lock))
        threads = EngineThreads(count: options.engineThreads, limit: 4096)
        audit = try AuditLog(path: layout.auditLog, logger: logger)
        cache = DecryptedCache(limitBytes: options.cacheBytes, lifetimeSeconds: Double(options.cacheSeconds))
        state = Mutex(.sealed(reason: "the server waits for its starter key"))
    }

    /// At the very end: another process may serve the root.
    func releaseRoot() { rootLock.withLock { $0 = nil } }

    var currentState: State { state.withLock { $0 } }
    func setState(_ new: State) { state.withLock { $0 = new } }

    /// The instance, where the server is ready. Fails with `sealed` or `stopping`.
    func requireInstance() throws(Problem) -> Instance {
        switch currentState {
        case .ready(let instance): return instance
        case .sealed(let reason): throw .sealed(reason)
        case .stopping: throw Problem(.serviceUnavailable, "stopping", "the server is ending").with(.retryAfter, "10")
        }
    }

    /// As `requireInstance`, for a request: sealing waits until the lease is given up.
    func requireLease() throws(Problem) -> RequestLease {
        // Under the lock, so that none is given out once the state has changed.
        let lease = state.withLock { state -> RequestLease? in
            if case .ready(let instance) = state { RequestLease(instance) } else { nil }
        }
        if let lease { return lease }
        if case .sealed(let reason) = currentState { throw .sealed(reason) }
        throw Problem(.serviceUnavailable, "stopping", "the server is ending").with(.retryAfter, "10")
    }

    struct PublicDescription: Encodable {
        var product = "efs-server"
        var version: String
        var state: String
        var serverID: String?
        var instanceKey: String?
    }

    func publicDescription() -> PublicDescription {
        switch currentState {
        case .ready(let instance):
            PublicDescription(
                version: ServerVersion.text, state: "ready", serverID: Base64URL.encode(instance.serverID),
                instanceKey: Base64URL.encode(instance.instanceKey.publicKey.rawBytes))
        case .sealed: PublicDescription(version: ServerVersion.text, state: "sealed")
        case .stopping: PublicDescription(version: ServerVersion.text, state: "stopping")
        }
    }
}

enum ServerVersion {
    static let text = "0.2.0"
}
