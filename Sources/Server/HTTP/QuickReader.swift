import FileSystem
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Answers what can be answered at once: GET of a small file that was read before and has not changed since, for a user who passed all three
/// doors. All of it is decided in memory, on the connection's event loop, before the request is handed to a task. Whatever is not as plain
/// as that goes the usual way, which knows all the answers.
final class QuickReader: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Puts a `QuickReader` into the pipeline of an HTTP/1.1 connection.
    final class Installer: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPRequestPart

        private let responder: APIResponder

        init(_ responder: APIResponder) { self.responder = responder }

        func handlerAdded(context: ChannelHandlerContext) {
            let operations = context.pipeline.syncOperations
            // A stream of HTTP/2 has another codec.
            guard let codec = try? operations.handler(type: HTTP1ToHTTPServerCodec.self) else { return }
            try? operations.addHandler(QuickReader(responder), position: .before(codec))
        }
    }

    /// Now and then a request goes the usual way all the same: what watches over idle connections sees only those.
    private static let passingInterval = TimeAmount.seconds(2)

    private let responder: APIResponder
    private var connection: Connection?
    /// Requests that go the usual way and are not answered yet.
    private var passedCount = 0
    private var lastPassed = NIODeadline.uptimeNanoseconds(0)
    /// The rest of a request that was answered here is to come.
    private var isDropping = false

    init(_ responder: APIResponder) { self.responder = responder }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            let now = NIODeadline.now()
            if passedCount == 0, now - lastPassed < Self.passingInterval, context.channel.isWritable, answer(head, context) {
                isDropping = true
                return
            }
            passedCount += 1
            lastPassed = now
        case .body: if isDropping { return }
        case .end:
            if isDropping {
                isDropping = false
                return
            }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { passedCount -= 1 }
        context.write(data, promise: promise)
    }

    /// False if the request is not for this place; nothing was done then.
    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) -> Bool {
        guard head.method == .GET, let path = Self.path(head.uri), let fields = QuickFields(head) else { return false }
        if connection == nil { connection = responder.server.connections.connection(of: context.channel) }
        guard let connection, let found = responder.quickAnswer(path, fields, connection) else { return false }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: found.file.headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(found.content))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        return true
    }

    /// What follows `/data`, if the target is that of a file.
    private static func path(_ target: String) -> String? {
        let bytes = target.utf8
        let skipped = bytes.starts(with: "/v1/data/".utf8) ? 8 : bytes.starts(with: "/data/".utf8) ? 5 : 0
        guard skipped > 0, !bytes.contains(UInt8(ascii: "?")) else { return nil }
        return String(target.dropFirst(skipped))
    }
}

/// The fields of a request that `QuickReader` knows.
struct QuickFields {
    var authorization = ""
    var session = ""

    /// Nil if there is one that changes the answer, or a body.
    init?(_ head: HTTPRequestHead) {
        guard head.version == .http1_1 else { return nil }
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 13 where Self.isSame(name, "authorization"):
                guard authorization.isEmpty else { return nil }
                authorization = value
            case 11 where Self.isSame(name, "efs-session"):
                guard session.isEmpty else { return nil }
                session = value
            case 10 where Self.isSame(name, "connection"): if !Self.isSame(value, "keep-alive") { return nil }
            case 5 where Self.isSame(name, "range"), 6 where Self.isSame(name, "expect"), 7 where Self.isSame(name, "upgrade"),
                14 where Self.isSame(name, "content-length"), 16 where Self.isSame(name, "want-repr-digest"),
                17 where Self.isSame(name, "transfer-encoding"):
                return nil
            default:
                // If-Match and the like.
                if name.utf8.first.map({ $0 | 0x20 }) == UInt8(ascii: "i") { return nil }
            }
        }
        guard !authorization.isEmpty, !session.isEmpty else { return nil }
    }

    /// In ASCII, whatever the case; `lower` is in lower case.
    private static func isSame(_ text: String, _ lower: StaticString) -> Bool {
        guard text.utf8.count == lower.utf8CodeUnitCount else { return false }
        var other = lower.utf8Start
        for byte in text.utf8 {
            let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            guard (isUpper ? byte | 0x20 : byte) == other.pointee else { return false }
            other += 1
        }
        return true
    }
}

extension APIResponder {
    /// The file at the encoded path and its content, if the request passes all doors and all of it is in memory and current. The access
    /// is in the audit log then, and counts.
    func quickAnswer(_ path: String, _ fields: QuickFields, _ connection: Connection) -> (file: HotFile, content: ByteBuffer)? {
        guard let lease = try? server.requireLease() else { return nil }
        defer { withExtendedLifetime(lease) {} }
        guard let caller = try? admit(basic: fields.authorization, token: fields.session, connection, lease.instance),
            let file = caller.fileSystem.hotFiles.find(path),
            caller.user.grants.rights(at: file.path).contains(.read), caller.fileSystem.files.isCurrent(file.sight),
            caller.fileSystem.observer?.mayHoldWrites(file.attributes.inode) != true
        else { return nil }
        let now = server.clock.monotonic()
        let key = file.attributes.cacheKey(caller.fileSystem, piece: 0)
        guard let content = server.cache.read(key, 0..<Int(file.attributes.sizeBytes), now: now) else { return nil }
        // The last step: who is refused here gets to hear why on the usual way.
        guard (try? lease.instance.users.spend(caller.user, server.options, now: now)) != nil else { return nil }
        var access = AuditLog.Access(operation: "GET", peer: connection.peer, certificate: connection.clientCertificate)
        access.user = caller.user.name
        access.fileSystem = caller.fileSystem.name
        access.pseudonym = file.pseudonym
        access.status = 200
        server.audit.end(access)
        server.metrics.count(status: 200)
        return (file, content)
    }
}
