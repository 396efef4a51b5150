import HTTPTypes
import HummingbirdCore
import Identity
import Logging
import Sealing
import Synchronization

/// The three doors.
extension APIResponder {
    /// Who makes a request, and where. All doors were passed.
    struct Caller: Sendable {
        var user: User
        var session: Session
        var token: Digest32
        var fileSystem: ServedFileSystem
    }

    /// Checks certificate, both tokens and the user's rate. What a token is rests on memory alone: it is the one that was given out
    /// last in its session, byte by byte, or it is none.
    func authenticate(_ call: Call, _ instance: Instance) async throws(Problem) -> Caller {
        guard let basic = call.headers[.authorization], let text = call.headers[.session] else { throw .authenticationRequired }
        let token = DigestHasher.digest(of: Array(text.utf8))
        guard let session = instance.sessions.session(token: token) else { throw await judgeUnknownToken(text, call, instance) }
        guard session.certificate == call.connection.clientCertificate else { throw .certificateRefused }
        guard let user = instance.users.user(session.user), user.accepts(certificate: call.connection.clientCertificate) else {
            throw .certificateRefused
        }
        guard session.expires > server.clock.now() else { throw .sessionExpired }
        let given = DigestHasher.digest(of: Array(basic.utf8))
        let fits = given.withUnsafeBytes { given in session.basic.withUnsafeBytes { constantTimeEquals(given, $0) } }
        guard fits else { throw .authenticationRequired }
        guard let fileSystem = instance.fileSystem(session.fileSystem) else { throw .notFound }
        try instance.users.spend(user, server.options, now: server.clock.monotonic())
        return Caller(user: user, session: session, token: token, fileSystem: fileSystem)
    }

    /// A token that no session has now: forged, of another instance, or retired. A retired one that is used again was stolen, or its
    /// renewal was: nobody can tell which, so the session ends.
    private func judgeUnknownToken(_ text: String, _ call: Call, _ instance: Instance) async -> Problem {
        guard let claims = await instance.tokenKeys.verify(text, now: server.clock.now()),
            claims.iss == Base64URL.encode(instance.serverID),
            claims.ins == Base64URL.encode(instance.id),
            claims.cnf.certificate == Base64URL.encode(call.connection.clientCertificate.bytes)
        else { return .authenticationRequired }
        guard let session = instance.sessions.session(id: claims.sid) else { return .sessionEnded }
        instance.sessions.end(session)
        server.logger.warning("a retired token was used again: its session ends", metadata: ["user": "\(session.user)"])
        return .sessionEnded
    }
}

// MARK: Handshake
extension APIResponder {
    private struct NonceRequest: Decodable {
        var user: String
        var keyFingerprint: String
        var clientNonce: String
    }

    private struct NonceAnswer: Encodable {
        var serverID: String
        var instanceKey: String
        var nonce: String
        var expires: Int64
        var proof: String
    }

    func nonceStep(_ call: Call, _ instance: Instance) throws(Problem) -> Step {
        guard call.method == .post else { throw .methodNotAllowed("POST") }
        return .receive { body in
            let request = try await RequestJSON.read(NonceRequest.self, body)
            guard let fingerprint = Base64URL.decode(request.keyFingerprint), fingerprint.count == 32,
                let clientNonce = Base64URL.decode(request.clientNonce), clientNonce.count == 32,
                (1...256).contains(request.user.utf8.count)
            else { throw Problem.badRequest("user, keyFingerprint and clientNonce are a name and twice 32 bytes") }
            return try .json(try self.offerNonce(request.user, fingerprint, clientNonce, call.connection, instance))
        }
    }

    /// The user is not looked up: what is not known cannot be told.
    private func offerNonce(
        _ user: String, _ fingerprint: [UInt8], _ clientNonce: [UInt8], _ connection: Connection, _ instance: Instance
    ) throws(Problem) -> NonceAnswer {
        let now = server.clock.now()
        let expires = now + NonceTable.lifetimeSeconds
        let offer = NonceTable.Offer(
            user: user, keyFingerprint: fingerprint, clientNonce: clientNonce, connection: connection.id, expires: expires)
        guard connection.openNonces.wrappingAdd(1, ordering: .relaxed).newValue <= NonceTable.limitPerConnection,
            let nonce = instance.nonces.offer(offer, now: now)
        else { throw Problem(.tooManyRequests, "rate-limited", "too many handshakes are under way").with(.retryAfter, "60") }
        let proof = instance.instanceKey.signature(
            for: transcript(offer, nonce, connection, instance).encoded(for: .serverProof))
        return NonceAnswer(
            serverID: Base64URL.encode(instance.serverID), instanceKey: Base64URL.encode(instance.instanceKey.publicKey.rawBytes),
            nonce: Base64URL.encode(nonce), expires: expires, proof: Base64URL.encode(proof))
    }

    private func transcript(
        _ offer: NonceTable.Offer, _ nonce: [UInt8], _ connection: Connection, _ instance: Instance
    ) -> Transcript {
        Transcript(
            user: offer.user, keyFingerprint: offer.keyFingerprint, serverID: instance.serverID,
            serverCertificate: connection.serverCertificate, clientCertificate: connection.clientCertificate, serverNonce: nonce,
            clientNonce: offer.clientNonce, expires: offer.expires)
    }

    private struct SessionRequest: Decodable {
        var user: String
        var keyFingerprint: String
        var nonce: String
        var clientNonce: String
        var signature: String
    }

    private struct SessionAnswer: Encodable {
        var basic: String?
        var session: String
        var expires: Int64
        var renewalsLeft: Int
        var fileSystem: String
    }

    func sessionStep(_ call: Call, _ instance: Instance) throws(Problem) -> Step {
        .receive { body in
            let request = try await RequestJSON.read(SessionRequest.self, body)
            let user = try self.checkHandshake(request, call.connection, instance)
            call.notes.set(user: user.name, fileSystem: user.record.fileSystem)
            return try .json(try await self.openSession(user, call.connection, instance), status: .created)
        }
    }

    private func checkHandshake(_ request: SessionRequest, _ connection: Connection, _ instance: Instance) throws(Problem) -> User {
        guard let nonce = Base64URL.decode(request.nonce), let fingerprint = Base64URL.decode(request.keyFingerprint),
            let clientNonce = Base64URL.decode(request.clientNonce), let signature = Base64URL.decode(request.signature),
            let offer = instance.nonces.take(nonce, now: server.clock.now()), offer.connection == connection.id
        else { throw .handshakeFailed }
        connection.openNonces.wrappingSubtract(1, ordering: .relaxed)
        let user = instance.users.user(request.user)
        let message = transcript(offer, nonce, connection, instance).encoded(for: .clientSession)
        // For a user that does not exist the same work is done with another key.
        let isSigned = (user?.publicKey ?? instance.instanceKey.publicKey).isValidSignature(signature, for: message)
        guard let user, isSigned, offer.user == request.user, offer.keyFingerprint == fingerprint, offer.clientNonce == clientNonce,
            user.keyFingerprint.bytes == fingerprint, user.accepts(certificate: connection.clientCertificate)
        else { throw .handshakeFailed }
        return user
    }

    private func openSession(_ user: User, _ connection: Connection, _ instance: Instance) async throws -> SessionAnswer {
        let now = server.clock.now()
        let id = Base64URL.encode(RandomSource.system.bytes(count: 16))
        let basic = Base64.encode(Array("\(user.name):\(Base64URL.encode(RandomSource.system.bytes(count: 32)))".utf8))
        let token = try await sign(
            id: id, user: user.name, fileSystem: user.record.fileSystem, renewals: 0, connection.clientCertificate, now, instance)
        let session = instance.sessions.insert(
            id: id, user: user.name, fileSystem: user.record.fileSystem, certificate: connection.clientCertificate,
            basic: DigestHasher.digest(of: Array("Basic \(basic)".utf8)), token: token.entry, now: now)
        guard session != nil else { throw Problem.busy }
        return SessionAnswer(
            basic: basic, session: token.text, expires: token.entry.expires, renewalsLeft: SessionTable.renewalLimit,
            fileSystem: user.record.fileSystem)
    }

    private func sign(
        id: String, user: String, fileSystem: String, renewals: Int, _ certificate: Digest32, _ now: Int64, _ instance: Instance
    ) async throws -> (text: String, entry: SessionTable.Token) {
        let claims = SessionClaims(
            iss: Base64URL.encode(instance.serverID), ins: Base64URL.encode(instance.id), sub: user, fs: fileSystem, sid: id,
            gen: renewals, jti: Base64URL.encode(RandomSource.system.bytes(count: 16)), iat: now,
            exp: now + SessionTable.lifetimeSeconds, cnf: .init(certificate: Base64URL.encode(certificate.bytes)))
        let text = try await instance.tokenKeys.sign(claims)
        return (text, SessionTable.Token(digest: DigestHasher.digest(of: Array(text.utf8)), id: claims.jti, expires: claims.exp))
    }

    // MARK: Renewal and end

    func renew(_ call: Call, _ caller: Caller, _ instance: Instance) async throws -> Response {
        guard call.method == .post else { throw Problem.methodNotAllowed("POST") }
        let session = caller.session
        switch instance.sessions.beginRenewal(session, token: caller.token) {
        case .usedUp: throw Problem(.unauthorized, "renewals-used-up", "the session was renewed as often as it may be")
        case .retired:
            // Two renewals with one token at the same time: it is in two hands.
            instance.sessions.end(session)
            throw Problem.sessionEnded
        case .allowed(let renewals):
            let token = try await sign(
                id: session.id, user: session.user, fileSystem: session.fileSystem, renewals: renewals, session.certificate,
                server.clock.now(), instance)
            guard instance.sessions.endRenewal(session, token.entry) else { throw Problem.sessionEnded }
            return try .json(
                SessionAnswer(
                    basic: String((call.headers[.authorization] ?? "").dropFirst("Basic ".count)), session: token.text,
                    expires: token.entry.expires, renewalsLeft: SessionTable.renewalLimit - renewals, fileSystem: session.fileSystem),
                status: .created)
        }
    }

    func endSession(_ call: Call, _ caller: Caller, _ instance: Instance) throws(Problem) -> Response {
        guard call.method == .delete else { throw .methodNotAllowed("POST, DELETE") }
        instance.sessions.end(caller.session)
        return Response(status: .noContent)
    }
}
