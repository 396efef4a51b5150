import Glibc
import Syscalls
import SystemPackage

extension ClassicTransport {
    /// One thread of the classic transport with its buffers.
    struct Worker: ~Copyable {
        private let transport: ClassicTransport
        private let dispatcher: Dispatcher
        private let running: RunningRequest
        private let buffers: RequestBuffers
        private let spinNanoseconds: UInt64
        private let isSpare: Bool
        private var leads = false
        private var spinning = SpinPolicy()
        /// When the last request was done; no need to look at the clock again.
        private var now: UInt64 = 0

        init(_ transport: ClassicTransport, _ dispatcher: Dispatcher, _ running: RunningRequest, isSpare: Bool) {
            self.transport = transport
            self.dispatcher = dispatcher
            self.running = running
            self.isSpare = isSpare
            buffers = RequestBuffers(maxTransferBytes: transport.maxTransferBytes)
            spinNanoseconds = UInt64(max(transport.configuration.spinMicroseconds, 0)) * 1000
        }

        /// Until the session is over.
        consuming func run() {
            let leadership = transport.leadership
            while !leadership.hasEnded {
                if !leads {
                    guard isSpare ? leadership.acquireAsSpare() : leadership.acquire() else { return }
                    leads = true
                    now = monotonicNanoseconds()
                }
                guard let message = receive() else { return }
                guard let request = Request(message: message) else {
                    refuse(message)
                    continue
                }
                handle(request)
                if isSpare { rest() }
            }
        }

        /// Back behind the others; memory that a spare worker needs now and then is given back.
        private mutating func rest() {
            if leads { transport.leadership.release() }
            leads = false
            buffers.giveBack()
        }

        private mutating func handle(_ request: Request) {
            let leadership = transport.leadership
            let start = monotonicNanoseconds()
            var mark: UInt64?
            if transport.durations.isLong(request) {
                leadership.release()
            } else {
                mark = leadership.begin()
            }
            answer(request)
            leads = mark.map { leadership.finish($0) } ?? false
            now = monotonicNanoseconds()
            transport.durations.note(request, nanoseconds: now &- start)
        }

        /// The next message; nil when the session is over.
        private mutating func receive() -> UnsafeRawBufferPointer? {
            let deadline = now &+ spinNanoseconds
            var spins = spinNanoseconds > 0 && spinning.shouldSpin()
            let spun = spins
            while !transport.leadership.hasEnded {
                let count = Glibc.read(transport.device.rawValue, buffers.request.baseAddress, buffers.request.count)
                if count >= 0 {
                    if spun, spins { spinning.note(found: true) }
                    return UnsafeRawBufferPointer(start: buffers.request.baseAddress, count: count)
                }
                switch errno {
                case EAGAIN:
                    if spins, monotonicNanoseconds() < deadline { continue }
                    if spins { spinning.note(found: false) }
                    spins = false
                    transport.sleep()
                case EINTR, ENOENT: break  // a signal; or the request was taken back before it was read
                case ENODEV:
                    transport.leadership.end(nil)
                    return nil
                case let other:
                    transport.leadership.end(Errno(rawValue: other))
                    return nil
                }
            }
            return nil
        }

        private func answer(_ request: Request) {
            let unique = request.header.unique
            switch dispatcher.handle(request, buffers.replyPayload, on: running) {
            case .none: return
            case .error(let error): transport.send(buffers.message(unique, error: -error.rawValue, payloadSizeBytes: 0))
            case .payload(let size): transport.send(buffers.message(unique, error: 0, payloadSizeBytes: size))
            case .afterWriteback(let seek):
                if !transport.add(seek, dispatcher) { transport.send(buffers.message(unique, error: -EINTR, payloadSizeBytes: 0)) }
            }
        }

        /// Answers what is no request, if it can be told what to answer to.
        private func refuse(_ message: UnsafeRawBufferPointer) {
            guard message.count >= MemoryLayout<InHeader>.size else { return }
            let unique = message.loadUnaligned(as: InHeader.self).unique
            transport.send(buffers.message(unique, error: -EIO, payloadSizeBytes: 0))
        }
    }
}

/// CLOCK_MONOTONIC; no system call is made.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
