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
        private var leads = false

        init(_ transport: ClassicTransport, _ dispatcher: Dispatcher, _ running: RunningRequest, _ maxTransferBytes: Int) {
            self.transport = transport
            self.dispatcher = dispatcher
            self.running = running
            buffers = RequestBuffers(maxTransferBytes: maxTransferBytes)
        }

        consuming func run(_ leadership: Leadership, _ configuration: ClassicTransportConfiguration) {
            let spinNanoseconds = UInt64(max(configuration.spinMicroseconds, 0)) * 1000
            while !leadership.hasEnded {
                if !leads {
                    guard leadership.acquire() else { return }
                    leads = true
                }
                guard let message = receive(leadership, spinNanoseconds) else { return }
                guard let request = Request(message: message) else { continue }
                if request.mayTakeLong {
                    leads = false
                    leadership.release()
                }
                answer(request, leadership)
            }
        }

        /// The next message; nil when the session is over.
        private func receive(_ leadership: Leadership, _ spinNanoseconds: UInt64) -> UnsafeRawBufferPointer? {
            let start = monotonicNanoseconds()
            while !leadership.hasEnded {
                let count = Glibc.read(transport.device.rawValue, buffers.request.baseAddress, buffers.request.count)
                if count >= 0 { return UnsafeRawBufferPointer(start: buffers.request.baseAddress, count: count) }
                switch errno {
                case EAGAIN: if monotonicNanoseconds() &- start >= spinNanoseconds { transport.sleep() }
                case EINTR, ENOENT: break  // a signal; or the request was taken back before it was read
                case ENODEV:
                    leadership.end(nil)
                    return nil
                case let other:
                    leadership.end(Errno(rawValue: other))
                    return nil
                }
            }
            return nil
        }

        private func answer(_ request: Request, _ leadership: Leadership) {
            let message: UnsafeRawBufferPointer
            switch dispatcher.handle(request, buffers.replyPayload, on: running) {
            case .none: return
            case .error(let error): message = buffers.message(request.header.unique, error: -error.rawValue, payloadSizeBytes: 0)
            case .payload(let size): message = buffers.message(request.header.unique, error: 0, payloadSizeBytes: size)
            }
            while Glibc.write(transport.device.rawValue, message.baseAddress, message.count) < 0 {
                switch errno {
                case EINTR, EAGAIN: continue
                // The request was aborted; or a reply that the kernel refuses, for which it has ended the request with EIO.
                default: return
                }
            }
        }
    }
}

extension Request {
    /// Whether the operation moves data or waits for storage, so that others should be served meanwhile.
    var mayTakeLong: Bool {
        switch Opcode(rawValue: header.opcode) {
        case .read, .write, .fsync, .fsyncdir, .syncfs, .fallocate, .copyFileRange, .copyFileRange64, .destroy: true
        default: false
        }
    }
}

/// CLOCK_MONOTONIC; no system call is made.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
