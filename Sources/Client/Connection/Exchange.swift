import FoundationEssentials
import NIOCore
import NIOHTTP1

/// A request as it goes out on any connection.
struct ClientRequest: Sendable {
    var method: HTTPMethod
    var uri: String
    var headers: [(String, String)] = []
    var body: Content = .none

    enum Content: Sendable {
        case none
        case bytes(ByteBuffer)
        /// A length of nil sends chunks.
        case stream(sizeBytes: UInt64?, BodySource)
    }

    /// Whether making it twice is the same as making it once.
    var isIdempotent: Bool { method != .POST && method != .PATCH }

    /// From this size on the server is asked first whether it would take the content at all.
    static let expectContinueFromBytes: UInt64 = 1 << 20

    var asksFirst: Bool {
        guard case .stream(let size, _) = body else { return false }
        return size.map { $0 >= Self.expectContinueFromBytes } ?? true
    }

    func head(host: String, userAgent: String, tokens: [(String, String)]) -> HTTPRequestHead {
        var fields = HTTPHeaders()
        fields.add(name: "Host", value: host)
        fields.add(name: "User-Agent", value: userAgent)
        for (name, value) in tokens + headers { fields.add(name: name, value: value) }
        switch body {
        case .none: if method == .POST || method == .PUT { fields.add(name: "Content-Length", value: "0") }
        case .bytes(let bytes): fields.add(name: "Content-Length", value: String(bytes.readableBytes))
        case .stream(let size?, _): fields.add(name: "Content-Length", value: String(size))
        case .stream(nil, _): fields.add(name: "Transfer-Encoding", value: "chunked")
        }
        if asksFirst { fields.add(name: "Expect", value: "100-continue") }
        return HTTPRequestHead(version: .http1_1, method: method, uri: uri, headers: fields)
    }
}

/// What a request came to, and whether its connection may serve again.
struct Exchanged<R: Sendable>: Sendable {
    var result: Result<R, any Error>
    var keepsConnection: Bool
}

/// The connection failed before anything of an answer came.
struct NoAnswer: Error {
    var cause: any Error
}

extension Connection {
    /// Bounds of what is read into memory at once: problems and JSON.
    static let largestJSONBytes = 8 << 20

    /// Makes the request and gives a good answer (below 400) to `handle`; others are thrown as `Problem`.
    func exchange<R: Sendable>(
        _ head: HTTPRequestHead, _ request: ClientRequest,
        _ handle: @escaping @Sendable (HTTPResponseHead, BodyReader) async throws -> R
    ) async throws -> Exchanged<R> {
        let channel = self.channel
        let exchanged = try await run { reader, outbound in
            let (answer, wasSent) = try await Self.send(head, request, reader, outbound, channel)
            let isEmpty = head.method == .HEAD || answer.status == .noContent || answer.status == .notModified
            let body = BodyReader(reader, isEmpty: false)
            do {
                let result: Result<R, any Error>
                if answer.status.code < 400 {
                    result = .success(try await handle(answer, body))
                } else {
                    result = .failure(try await Self.problem(answer, isEmpty ? nil : body))
                }
                // A little that nobody wanted is read, so that the connection can serve again; much is cheaper to cut off.
                let isDone = try await body.collect(upTo: 64 << 10) != nil
                return Exchanged(result: result, keepsConnection: wasSent && isDone && answer.isKeepAlive)
            } catch {
                return Exchanged<R>(result: .failure(error), keepsConnection: false)
            }
        }
        if !exchanged.keepsConnection { spoil() }
        return exchanged
    }

    /// Sends and waits for the final head. Says whether the whole content went out: an answer may come before.
    private static func send(
        _ head: HTTPRequestHead, _ request: ClientRequest, _ reader: ResponseReader, _ outbound: Outbound, _ channel: any Channel
    ) async throws -> (HTTPResponseHead, wasSent: Bool) {
        do {
            switch request.body {
            case .none:
                try await outbound.write(contentsOf: [.head(head), .end(nil)])
                return (try await finalHead(reader), true)
            case .bytes(let bytes):
                try await outbound.write(contentsOf: [.head(head), .body(.byteBuffer(bytes)), .end(nil)])
                return (try await finalHead(reader), true)
            case .stream(let size, let source):
                try await outbound.write(.head(head))
                let writer = BodyWriter(outbound, sizeBytes: size)
                return try await sendStream(source, writer, asksFirst: request.asksFirst, reader, outbound, channel)
            }
        } catch let failure as SourceFailed {
            throw failure.cause
        } catch {
            throw NoAnswer(cause: error)
        }
    }

    private struct SourceFailed: Error {
        var cause: any Error
    }

    private static func finalHead(_ reader: ResponseReader, onContinue: () -> Void = {}) async throws -> HTTPResponseHead {
        while true {
            let head = try await reader.head()
            if head.status.code >= 200 { return head }
            onContinue()
        }
    }

    /// The content is written by a task of its own, while this one waits for the answer. It begins when the server says 100, or
    /// says nothing for a second (RFC 9110, section 10.1.1).
    private static func sendStream(
        _ source: @escaping BodySource, _ writer: BodyWriter, asksFirst: Bool, _ reader: ResponseReader, _ outbound: Outbound,
        _ channel: any Channel
    ) async throws -> (HTTPResponseHead, wasSent: Bool) {
        let gate = channel.eventLoop.makePromise(of: Bool.self)
        let patience = asksFirst ? channel.eventLoop.scheduleTask(in: .seconds(1)) { gate.succeed(true) } : nil
        if !asksFirst { gate.succeed(true) }
        let writing = Task {
            guard try await gate.futureResult.get() else { return false }
            do {
                try await source(writer)
                try writer.finish()
            } catch let error as ChannelError { throw error } catch {
                // The request cannot be finished: cutting the connection is what tells the server.
                throw SourceFailed(cause: error)
            }
            try await outbound.write(.end(nil))
            return true
        }
        defer { patience?.cancel() }
        let watch = Task {
            // A source that fails must not leave this request waiting for an answer that never comes.
            if case .failure(let error) = await writing.result, error is SourceFailed { channel.close(promise: nil) }
        }
        defer { watch.cancel() }
        do {
            let head = try await finalHead(reader) { gate.succeed(true) }
            gate.succeed(false)
            if head.status.code >= 400 { writing.cancel() }
            let wasSent = (try? await writing.value) ?? false
            return (head, wasSent)
        } catch {
            gate.succeed(false)
            writing.cancel()
            // What was cancelled here did not fail by itself.
            if case .failure(let failed as SourceFailed) = await writing.result, !(failed.cause is CancellationError) { throw failed }
            throw error
        }
    }

    private static func problem(_ head: HTTPResponseHead, _ body: BodyReader?) async throws -> ClientError {
        var problem = Problem(status: Int(head.status.code), code: "", title: head.status.reasonPhrase, detail: "")
        problem.retryAfterSeconds = head.headers.first(name: "Retry-After").flatMap { Int64($0) }
        guard let body, let bytes = try await body.collect(upTo: 64 << 10),
            let document = try? JSONDecoder().decode(ProblemDocument.self, from: Data(bytes.readableBytesView))
        else { return .problem(problem) }
        problem.code = document.code ?? ""
        problem.title = document.title ?? problem.title
        problem.detail = document.detail ?? ""
        return .problem(problem)
    }
}

private struct ProblemDocument: Decodable {
    var code: String?
    var title: String?
    var detail: String?
}
