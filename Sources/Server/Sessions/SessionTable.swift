import Sealing
import Synchronization

/// A user's session: made by a handshake, carried by one token at a time. The mutable part belongs to `SessionTable`.
final class Session: Sendable {
    let id: String
    let user: String
    let fileSystem: String
    /// The client certificate that it is bound to.
    let certificate: Digest32
    /// SHA-256 of the value of the Authorization header.
    let basic: Digest32

    fileprivate struct State {
        /// SHA-256 of the token that is valid now.
        var token: Digest32
        var tokenID: String
        /// Seconds since 1970.
        var expires: Int64
        var renewals = 0
        /// A renewal is being signed.
        var isRenewing = false
        var isEnded = false
    }

    fileprivate let state: Mutex<State>

    fileprivate init(id: String, user: String, fileSystem: String, certificate: Digest32, basic: Digest32, state: State) {
        self.id = id
        self.user = user
        self.fileSystem = fileSystem
        self.certificate = certificate
        self.basic = basic
        self.state = Mutex(state)
    }

    var expires: Int64 { state.withLock { $0.expires } }
    var renewals: Int { state.withLock { $0.renewals } }
}

/// The sessions of an instance. They are in memory alone, so they end with it. Thread-safe.
final class SessionTable: Sendable {
    static let lifetimeSeconds: Int64 = 3600
    static let renewalLimit = 24
    static let limit = 100_000
    static let limitPerUser = 64

    fileprivate struct Index {
        var byToken: [Digest32: Session] = [:]
        var byID: [String: Session] = [:]
        /// In the order of their making.
        var byUser: [String: [Session]] = [:]
    }

    private let index = Mutex(Index())

    var count: Int { index.withLock { $0.byID.count } }

    struct Token: Sendable {
        var digest: Digest32
        var id: String
        var expires: Int64
    }

    func insert(
        id: String, user: String, fileSystem: String, certificate: Digest32, basic: Digest32, token: Token, now: Int64
    ) -> Session? {
        let session = Session(
            id: id, user: user, fileSystem: fileSystem, certificate: certificate, basic: basic,
            state: Session.State(token: token.digest, tokenID: token.id, expires: token.expires))
        return index.withLock { index in
            if index.byID.count >= Self.limit { index.dropExpired(now) }
            guard index.byID.count < Self.limit else { return nil }
            if let sessions = index.byUser[user], sessions.count >= Self.limitPerUser {
                // Those whose token has ended go first, then the oldest.
                index.remove(sessions.first { $0.expires <= now } ?? sessions[0])
            }
            index.byToken[token.digest] = session
            index.byID[id] = session
            index.byUser[user, default: []].append(session)
            return session
        }
    }

    /// The session whose token this is now, whether it has expired or not.
    func session(token: Digest32) -> Session? { index.withLock { $0.byToken[token] } }

    func session(id: String) -> Session? { index.withLock { $0.byID[id] } }

    enum Renewal { case allowed(renewals: Int), usedUp, retired }

    /// Claims the session's renewal for the token: from here on that token is retired, whatever happens.
    func beginRenewal(_ session: Session, token: Digest32) -> Renewal {
        index.withLock { index in
            session.state.withLock { state in
                guard !state.isEnded, !state.isRenewing, state.token == token else { return .retired }
                guard state.renewals < Self.renewalLimit else { return .usedUp }
                state.isRenewing = true
                state.renewals += 1
                index.byToken.removeValue(forKey: token)
                return .allowed(renewals: state.renewals)
            }
        }
    }

    /// False if the session has ended meanwhile.
    func endRenewal(_ session: Session, _ token: Token) -> Bool {
        index.withLock { index in
            session.state.withLock { state in
                guard !state.isEnded else { return false }
                state.isRenewing = false
                state.token = token.digest
                state.tokenID = token.id
                state.expires = token.expires
                index.byToken[token.digest] = session
                return true
            }
        }
    }

    func end(_ session: Session) { index.withLock { $0.remove(session) } }

    func endAll(of user: String) {
        index.withLock { index in
            for session in index.byUser[user] ?? [] { index.remove(session) }
        }
    }
}

extension SessionTable.Index {
    fileprivate mutating func remove(_ session: Session) {
        let token = session.state.withLock { state in
            state.isEnded = true
            return state.token
        }
        byToken.removeValue(forKey: token)
        byID.removeValue(forKey: session.id)
        byUser[session.user]?.removeAll { $0 === session }
        if byUser[session.user]?.isEmpty == true { byUser.removeValue(forKey: session.user) }
    }

    fileprivate mutating func dropExpired(_ now: Int64) {
        for session in byID.values where session.expires <= now { remove(session) }
    }
}
