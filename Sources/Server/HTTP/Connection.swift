import NIOCore
import NIOSSL
import NIOTLS
import Sealing
import Synchronization

/// A TLS connection whose handshake is done.
final class Connection: Sendable {
    let id: UInt64
    /// SHA-256 of the DER of the client's leaf.
    let clientCertificate: Digest32
    /// The same of the server's, as this connection was shown it.
    let serverCertificate: Digest32
    let peer: String
    let isHTTP2: Bool
    /// Nonces that were given out on it and not used.
    let openNonces = Atomic<Int>(0)

    private static let lastID = Atomic<UInt64>(0)

    init(client: Digest32, server: Digest32, peer: String, isHTTP2: Bool) {
        id = Self.lastID.wrappingAdd(1, ordering: .relaxed).newValue
        clientCertificate = client
        serverCertificate = server
        self.peer = peer
        self.isHTTP2 = isHTTP2
    }
}

/// The open connections, by channel, so that a request finds its own without waiting for the channel's event loop. Thread-safe.
final class ConnectionTable: Sendable {
    private struct Entry {
        var connection: Connection
        var channel: any Channel
    }

    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])

    var count: Int { entries.withLock { $0.count } }

    /// Of a connection's channel, or of one of its HTTP/2 streams.
    func connection(of channel: any Channel) -> Connection? {
        entries.withLock { entries in
            (entries[ObjectIdentifier(channel)] ?? channel.parent.flatMap { entries[ObjectIdentifier($0)] })?.connection
        }
    }

    func insert(_ connection: Connection, for channel: any Channel) {
        entries.withLock { $0[ObjectIdentifier(channel)] = Entry(connection: connection, channel: channel) }
    }

    func remove(_ channel: any Channel) { entries.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) } }

    /// Ends all connections, whatever is under way on them.
    func closeAll() {
        for entry in entries.withLock({ Array($0.values) }) { entry.channel.close(mode: .all, promise: nil) }
    }
}

/// Sits behind TLS in the pipeline; enters the connection into the table once its handshake is done, and closes one whose handshake takes
/// too long, or the head of a request from its first byte on (HTTP/1.1: `BodyGuard` says where a request ends).
final class ConnectionRegistrar: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let table: ConnectionTable
    private let serverCertificate: Digest32
    private let handshakeTimeout: TimeAmount
    private var deadline: Scheduled<Void>?
    /// Whether the next byte is the first of a request's head.
    private var awaitsHead = false

    init(table: ConnectionTable, serverCertificate: Digest32, handshakeTimeout: TimeAmount) {
        self.table = table
        self.serverCertificate = serverCertificate
        self.handshakeTimeout = handshakeTimeout
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: handshakeTimeout) { channel.close(mode: .all, promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let negotiated) = event as? TLSUserEvent {
            deadline?.cancel()
            deadline = nil
            awaitsHead = negotiated != "h2"
            register(context, isHTTP2: negotiated == "h2")
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if awaitsHead, deadline == nil {
            let channel = context.channel
            deadline = context.eventLoop.scheduleTask(in: handshakeTimeout) { channel.close(mode: .all, promise: nil) }
        }
        context.fireChannelRead(data)
    }

    func headArrived() {
        awaitsHead = false
        deadline?.cancel()
        deadline = nil
    }

    func requestEnded() { awaitsHead = true }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        table.remove(context.channel)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    private func register(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        // Without a certificate the handshake would have failed; if it ever does not, the connection stays unknown, and is refused.
        guard let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate(), let der = try? certificate.toDERBytes()
        else {
            context.close(promise: nil)
            return
        }
        let connection = Connection(
            client: DigestHasher.digest(of: der), server: serverCertificate,
            peer: context.channel.remoteAddress.map { "\($0.ipAddress ?? "?"):\($0.port ?? 0)" } ?? "?", isHTTP2: isHTTP2)
        table.insert(connection, for: context.channel)
    }
}
