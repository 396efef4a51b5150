import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Watches over requests and answers of a connection, or of a stream of one:
/// - A body that ends in the middle, since its connection or stream does, becomes an error: otherwise it would look whole.
/// - What still comes of one that was answered already is dropped, and only so much of it: the connection is not worth more.
/// - A peer that sends or takes a body too slowly is told so, or closed on. Only the time counts in which the server waits for the peer.
/// - A head that is too large gets an answer.
final class BodyGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    struct CutBody: Error {}
    struct SlowBody: Error {}

    struct Limits: Sendable {
        /// Without any progress; and the time after which the average counts.
        var idle: TimeAmount
        var leastBytesPerSecond: Int
    }

    /// What was waited for in one direction.
    private struct Progress {
        var bytes = 0
        var waited: TimeAmount = .zero
        /// Nil while nothing is waited for.
        var since: NIODeadline?
        /// When something came last, or the waiting began.
        var last: NIODeadline = .now()

        mutating func begin() {
            guard since == nil else { return }
            let now = NIODeadline.now()
            since = now
            last = now
        }

        mutating func advance(_ count: Int) {
            bytes += count
            last = .now()
        }

        mutating func pause() {
            if let since { waited = waited + (.now() - since) }
            since = nil
        }

        func isTooSlow(_ limits: Limits, stepBytes: Int) -> Bool {
            guard let since else { return false }
            let now = NIODeadline.now()
            let stepTime = TimeAmount.nanoseconds(Int64(stepBytes) * 1_000_000_000 / Int64(max(1, limits.leastBytesPerSecond)))
            if now - last >= max(limits.idle, stepTime) { return true }
            let time = waited + (now - since)
            return time >= limits.idle && Double(bytes) < Double(time.nanoseconds) * 1e-9 * Double(limits.leastBytesPerSecond)
        }
    }

    /// Enough that an ordinary client gets to see the answer before it is cut off.
    private static let lateLimitBytes = 16 << 20
    /// Answers are written in steps of this size, so that it shows how they get on.
    private static let stepBytes = 32 << 10

    private let limits: Limits
    private var registrar: ConnectionRegistrar?
    private var isInside = false
    private var isAnswered = false
    /// An answer is due for a head that was passed on.
    private var owesAnswer = false
    private var hasFailed = false
    private var lateBytes = 0
    private var receiving = Progress()
    private var sending = Progress()
    private var unsentBytes = 0
    private var timer: Scheduled<Void>?

    init(_ limits: Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        // HTTP/1.1 alone: it is in the pipeline of the connection, and not of a stream.
        registrar = try? context.pipeline.syncOperations.handler(type: ConnectionRegistrar.self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            registrar?.headArrived()
            isInside = true
            isAnswered = false
            owesAnswer = true
            lateBytes = 0
            receiving = Progress()
        case .end:
            isInside = false
            receiving.pause()
            noteEnd()
        case .body(let bytes):
            receiving.pause()
            receiving.advance(bytes.readableBytes)
            guard isAnswered else { break }
            lateBytes += bytes.readableBytes
            if lateBytes > Self.lateLimitBytes { context.close(promise: nil) }
            // Reading goes on as long as somebody asks for more.
            context.fireChannelRead(wrapInboundOut(.body(ByteBuffer())))
            return
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if isInside {
            receiving.begin()
            watch(context)
        }
        context.read()
    }

    /// The next head may come once this request is read and answered.
    private func noteEnd() {
        if !isInside, !owesAnswer { registrar?.requestEnded() }
    }

    // MARK: Answers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head:
            if sending.since == nil { sending = Progress() }
            context.write(data, promise: promise)
        case .body(var bytes):
            while bytes.readableBytes > Self.stepBytes, let step = bytes.readSlice(length: Self.stepBytes) {
                send(context, step, nil)
            }
            send(context, bytes, promise)
        case .end:
            if isInside { isAnswered = true }
            owesAnswer = false
            noteEnd()
            context.write(data, promise: promise)
        }
    }

    private func send(_ context: ChannelHandlerContext, _ step: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        let count = step.readableBytes
        unsentBytes += count
        sending.begin()
        watch(context)
        let done = context.eventLoop.makePromise(of: Void.self)
        done.futureResult.assumeIsolated().whenComplete { _ in
            self.unsentBytes -= count
            self.sending.advance(count)
            if self.unsentBytes == 0 { self.sending.pause() }
        }
        if let promise { done.futureResult.cascade(to: promise) }
        context.write(wrapOutboundOut(.body(step)), promise: done)
    }

    // MARK: Slow peers

    private func watch(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        let loopBound = context.loopBound
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: max(.milliseconds(50), .nanoseconds(limits.idle.nanoseconds / 8))) {
            self.timer = nil
            self.check(loopBound.value)
        }
    }

    private func check(_ context: ChannelHandlerContext) {
        if isInside, !hasFailed, receiving.isTooSlow(limits, stepBytes: 0) {
            if isAnswered {
                context.close(promise: nil)
                return
            }
            hasFailed = true
            isInside = false
            context.fireErrorCaught(SlowBody())
        }
        if sending.isTooSlow(limits, stepBytes: Self.stepBytes) {
            // There is no other way to tell it.
            context.close(promise: nil)
            return
        }
        if isInside || unsentBytes > 0 { watch(context) }
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }

    // MARK: Ends

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The other side closes its half: the same for a body that is not whole.
        if isInside, event as? ChannelEvent == .inputClosed { fail(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        fail(context)
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext) {
        guard isInside else { return }
        isInside = false
        context.fireErrorCaught(CutBody())
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let failure = error as? HTTPParserError, failure == .headerOverflow, !owesAnswer else {
            context.fireErrorCaught(error)
            return
        }
        let response = Problem.headersTooLarge.encoded
        context.write(wrapOutboundOut(.head(response.head)), promise: nil)
        context.write(wrapOutboundOut(.body(response.body)), promise: nil)
        let loopBound = context.loopBound
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in loopBound.value.close(promise: nil) }
    }
}
