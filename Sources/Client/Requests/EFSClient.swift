import NIOCore
import NIOHTTP1
import NIOPosix

/// A user's face of an efs-server: files by path, over HTTPS with client certificate, handshake and session
/// (docs/HTTP_API.md). Connections are made when they are needed and kept for the next requests; the session is renewed, or made
/// anew, without the caller's doing. Contents are streamed: memory does not depend on their size. Thread-safe.
///
/// All calls throw `ClientError`, `CancellationError`, or what the caller's own closures throw. Cancelling the task gives up the
/// request. `shutDown` ends the session and the connections.
public final class EFSClient: Sendable {
    let configuration: ClientConfiguration
    private let pool: ConnectionPool
    private let session: SessionKeeper
    /// Waiting because the server said so ends at this many tries.
    private static let mostTries = 5
    private static let longestWaitSeconds: Int64 = 20

    public init(_ configuration: ClientConfiguration) throws {
        self.configuration = configuration
        let pool = try ConnectionPool(configuration, on: MultiThreadedEventLoopGroup.singleton)
        self.pool = pool
        let handshake = Handshake(configuration: configuration)
        session = SessionKeeper(
            logIn: { number in
                try await Self.onConnection(pool, configuration) { try await handshake.perform(on: $0, number: number) }
            },
            renew: { tokens, number in
                try await Self.onConnection(pool, configuration) { connection in
                    let request = ClientRequest(method: .POST, uri: "/v1/auth/renew")
                    let head = request.head(
                        host: configuration.authority, userAgent: configuration.userAgent, tokens: tokens.headers)
                    let host = configuration.host
                    return try await connection.exchange(head, request) { _, body in
                        try await JSONAnswer.read(Handshake.SessionAnswer.self, body, host: host).tokens(number)
                    }.result.get()
                }
            })
    }

    /// Makes the handshake now, so that what is wrong with it is known before the first request.
    public func connect() async throws {
        _ = try await session.take()
        await session.giveBack()
    }

    /// Ends the session on the server as far as it can be reached, and all connections.
    public func shutDown() async {
        if let tokens = await session.end() {
            let request = ClientRequest(method: .DELETE, uri: "/v1/auth/session")
            let head = request.head(host: configuration.authority, userAgent: configuration.userAgent, tokens: tokens.headers)
            _ = try? await Self.onConnection(pool, configuration) { try await $0.exchange(head, request) { _, _ in }.result.get() }
        }
        await pool.shutDown()
    }

    /// Runs `body` on a connection of its own for the time. A kept connection that proves dead is replaced once.
    private static func onConnection<R: Sendable>(
        _ pool: ConnectionPool, _ configuration: ClientConfiguration, _ body: (Connection) async throws -> R
    ) async throws -> R {
        var fresh = false
        while true {
            let (connection, wasUsed) = try await pool.acquire(fresh: fresh)
            do {
                let result = try await body(connection)
                await pool.release(connection, keeping: true)
                return result
            } catch let failure as NoAnswer {
                await pool.release(connection, keeping: false)
                if wasUsed, !Task.isCancelled {
                    fresh = true
                    continue
                }
                throw Self.interrupted(failure.cause, configuration)
            } catch {
                // A problem leaves the connection whole, but a failed handshake has nothing to keep it for.
                await pool.release(connection, keeping: false)
                throw error
            }
        }
    }

    /// Makes a request with the session's tokens; `handle` gets a good answer. A request that the server did not take because
    /// the tokens are no longer good, because it was busy, or because a kept connection was closed meanwhile, is made again.
    func send<R: Sendable>(
        _ request: ClientRequest, _ handle: @escaping @Sendable (HTTPResponseHead, BodyReader) async throws -> R
    ) async throws -> R {
        var tries = 0
        var hasLoggedIn = false
        while true {
            tries += 1
            let tokens = try await session.take()
            let exchanged: Exchanged<R>
            do {
                exchanged = try await attempt(request, tokens, handle)
                await session.giveBack()
            } catch {
                await session.giveBack()
                throw error
            }
            guard case .failure(ClientError.problem(let problem)) = exchanged.result else { return try exchanged.result.get() }
            if problem.status == 401, !hasLoggedIn {
                hasLoggedIn = true
                await session.forget(tokens.number)
            } else if problem.status == 429 || problem.code == "busy" || problem.code == "upload-busy", tries < Self.mostTries {
                try await wait(seconds: min(max(problem.retryAfterSeconds ?? 1, 1), Self.longestWaitSeconds))
            } else {
                throw ClientError.problem(problem)
            }
        }
    }

    private func attempt<R: Sendable>(
        _ request: ClientRequest, _ tokens: SessionTokens, _ handle: @escaping @Sendable (HTTPResponseHead, BodyReader) async throws -> R
    ) async throws -> Exchanged<R> {
        let head = request.head(host: configuration.authority, userAgent: configuration.userAgent, tokens: tokens.headers)
        var fresh = false
        while true {
            let (connection, wasUsed) = try await pool.acquire(fresh: fresh)
            do {
                let exchanged = try await connection.exchange(head, request, handle)
                await pool.release(connection, keeping: exchanged.keepsConnection)
                return exchanged.mappingErrors { Self.isTransport($0) ? Self.interrupted($0, configuration) : $0 }
            } catch {
                await pool.release(connection, keeping: false)
                try Task.checkCancellation()
                guard let failure = error as? NoAnswer else { throw error }
                guard wasUsed, request.isIdempotent else { throw Self.interrupted(failure.cause, configuration) }
                fresh = true
            }
        }
    }

    private static func interrupted(_ error: any Error, _ configuration: ClientConfiguration) -> ClientError {
        (error as? ClientError) ?? .interrupted(host: configuration.host, cause: Connection.words(error))
    }

    private static func isTransport(_ error: any Error) -> Bool {
        error is ChannelError || error is IOError || error is ResponseReader.Ended || error is HTTPParserError
    }

    /// The server said when to come again.
    private func wait(seconds: Int64) async throws {
        try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .seconds(seconds)) {}.futureResult.get()
        try Task.checkCancellation()
    }
}

extension Exchanged {
    func mappingErrors(_ change: (any Error) -> any Error) -> Exchanged {
        guard case .failure(let error) = result else { return self }
        return Exchanged(result: .failure(change(error)), keepsConnection: keepsConnection)
    }
}
