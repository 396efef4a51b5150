public import NIOCore
import NIOHTTP1
import Synchronization

/// The incoming side of a connection. Used by the connection's task alone.
final class ResponseReader {
    private var iterator: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator

    struct Ended: Error {}

    init(_ iterator: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator) { self.iterator = iterator }

    private func part() async throws -> HTTPClientResponsePart {
        guard let part = try await iterator.next() else { throw Ended() }
        return part
    }

    /// The next head, of an informational answer (1xx) too.
    func head() async throws -> HTTPResponseHead {
        while true {
            switch try await part() {
            case .head(let head): return head
            case .body: throw Ended()
            case .end: continue  // of an informational answer
            }
        }
    }

    /// The next piece of the body; nil at its end.
    func body() async throws -> ByteBuffer? {
        while true {
            switch try await part() {
            case .body(let bytes): if bytes.readableBytes > 0 { return bytes }
            case .end: return nil
            case .head: throw Ended()
            }
        }
    }
}

/// The content of an answer, piece by piece as it comes; what is not read yet waits in the network. Valid only inside the closure
/// that it is given to.
public final class BodyReader {
    private let reader: ResponseReader
    private(set) var hasEnded: Bool

    init(_ reader: ResponseReader, isEmpty: Bool) {
        self.reader = reader
        hasEnded = isEmpty
    }

    /// The next piece; nil at the end.
    public func next() async throws -> ByteBuffer? {
        if hasEnded { return nil }
        let piece = try await reader.body()
        if piece == nil { hasEnded = true }
        return piece
    }

    /// All of it; nil if it is longer than `largest`.
    func collect(upTo largest: Int) async throws -> ByteBuffer? {
        var all = ByteBuffer()
        while var piece = try await next() {
            guard all.readableBytes + piece.readableBytes <= largest else { return nil }
            all.writeBuffer(&piece)
        }
        return all
    }
}

/// Where a request's content goes; writing waits while the network is behind.
public final class BodyWriter: Sendable {
    private let outbound: Connection.Outbound
    /// What was announced; nil for any number.
    private let sizeBytes: UInt64?
    private let written = Atomic<UInt64>(0)

    init(_ outbound: Connection.Outbound, sizeBytes: UInt64?) {
        self.outbound = outbound
        self.sizeBytes = sizeBytes
    }

    /// Throws `ContentSizeMismatch` beyond the announced size: more would be taken for the next request.
    public func write(_ bytes: ByteBuffer) async throws {
        let count = written.wrappingAdd(UInt64(bytes.readableBytes), ordering: .relaxed).newValue
        if let sizeBytes, count > sizeBytes { throw ContentSizeMismatch(announced: sizeBytes, given: count) }
        try await outbound.write(.body(.byteBuffer(bytes)))
    }

    func finish() throws(ContentSizeMismatch) {
        let count = written.load(ordering: .relaxed)
        if let sizeBytes, count != sizeBytes { throw ContentSizeMismatch(announced: sizeBytes, given: count) }
    }
}

/// The content had another size than the request had announced, as when a file is written to while it is sent.
public struct ContentSizeMismatch: Error, CustomStringConvertible {
    public var announced: UInt64
    public var given: UInt64
    public var description: String { "the content changed while it was sent: \(given) bytes instead of \(announced)" }
}

/// Writes a request's content. Called again from the start if the request has to be made once more.
public typealias BodySource = @Sendable (BodyWriter) async throws -> Void
