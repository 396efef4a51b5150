import CURing
import Glibc
import Syscalls
import SystemPackage

extension URingTransport {
    /// One entry of a queue with its thread, ring and buffers.
    struct Entry: ~Copyable {
        private let transport: URingTransport
        private let queue: UInt16
        private let dispatcher: Dispatcher
        private let running: RunningRequest
        private let header: UnsafeMutablePointer<efs_uring_header>
        /// Where the kernel puts the payload of a request and takes that of the reply.
        private let payload: UnsafeMutableRawBufferPointer
        /// Where names and values of a request are moved, so that a reply may be built while they are still read.
        private let names: UnsafeMutableRawBufferPointer

        /// What a request carries beside its structure, but for WRITE: at most two names, or one and an attribute's value (64 KiB).
        private static let namesLimitBytes = 72 << 10

        init(_ transport: URingTransport, _ queue: Int, _ dispatcher: Dispatcher, _ running: RunningRequest) {
            self.transport = transport
            self.queue = UInt16(queue)
            self.dispatcher = dispatcher
            self.running = running
            header = .allocate(capacity: 1)
            header.initialize(to: efs_uring_header())
            // Untouched pages cost nothing. The kernel wants room for its largest transfer, whatever was agreed on.
            let size = max(transport.maxTransferBytes, 1 << 20) + 4096
            payload = .allocate(byteCount: size, alignment: 4096)
            names = .allocate(byteCount: Self.namesLimitBytes, alignment: 16)
        }

        deinit {
            header.deallocate()
            payload.deallocate()
            names.deallocate()
        }

        /// Until the mount is gone or the rings are to end.
        consuming func run() {
            // Where the processor is not ours to run on, any will do.
            _ = efs_uring_pin(CInt(queue))
            var error: CInt = 0
            let opened = efs_uring_open(&error)
            let haveAll = transport.didOpenRing(opened != nil)
            guard let ring = opened else { return transport.fallBack() }
            // Before the buffers go: closing it takes the entry back from the kernel.
            defer { efs_uring_close(ring) }
            let device = transport.device.rawValue
            efs_uring_watch(ring, transport.wakeupReader.rawValue)
            // A queue that there is not is refused, which makes the kernel fall back.
            efs_uring_register(ring, device, haveAll ? queue : .max, header, payload.baseAddress, payload.count)
            var isRegistered = false
            while true {
                var event: CInt = 0
                var result: CInt = 0
                guard efs_uring_wait(ring, &event, &result) == 0, event == EFS_URING_REQUEST.rawValue else { return }
                guard result == 0 else {
                    // The end of the mount shows at the device as well.
                    if !isRegistered, result != -ENOTCONN { transport.fallBack() }
                    return
                }
                isRegistered = true
                answer()
                efs_uring_commit(ring, device, queue, header.pointee.commit_id)
            }
        }

        private func answer() {
            let inputHeader = UnsafeRawPointer(header).loadUnaligned(as: InHeader.self)
            let operation = UnsafeRawBufferPointer(start: UnsafeRawPointer(header) + 128, count: 128)
            var reply = Reply.error(.ioError)
            if let rest = requestPayload(inputHeader) {
                reply = dispatcher.handle(Request(header: inputHeader, operation: operation, payload: rest), payload, on: running)
            }
            switch reply {
            case .none: put(inputHeader.unique, error: 0, payloadSizeBytes: 0)
            case .error(let error): put(inputHeader.unique, error: -error.rawValue, payloadSizeBytes: 0)
            case .payload(let size): put(inputHeader.unique, error: 0, payloadSizeBytes: size)
            case .afterWriteback(let seek): finish(seek)
            }
        }

        /// Here, since an entry is answered by its own ring; its queue must have another one for the writes that come of it.
        private func finish(_ seek: PendingSeek) {
            // The kernel then never asks again, and treats files as if they had no holes.
            guard transport.beginHolding(queue) else { return put(seek.unique, error: -ENOSYS, payloadSizeBytes: 0) }
            defer { transport.endHolding(queue) }
            dispatcher.beginPending(seek.unique)
            let result = seek.finish { bytes throws(Errno) in try transport.notify(bytes) }
            dispatcher.endPending(seek.unique)
            switch result {
            case .success(let offset):
                payload.storeBytes(of: LseekOut(offset: offset), as: LseekOut.self)
                put(seek.unique, error: 0, payloadSizeBytes: MemoryLayout<LseekOut>.size)
            case .failure(let error): put(seek.unique, error: -error.rawValue, payloadSizeBytes: 0)
            }
        }

        /// What follows the operation's structure; nil if it is more than there can be. The data of WRITE stays where it is, since its reply is
        /// built after it was taken.
        private func requestPayload(_ input: InHeader) -> UnsafeRawBufferPointer? {
            let count = Int(header.pointee.payload_size)
            guard count <= payload.count else { return nil }
            let bytes = UnsafeRawBufferPointer(rebasing: payload[..<count])
            if Opcode(rawValue: input.opcode) == .write { return bytes }
            guard count <= names.count else { return nil }
            names.copyMemory(from: bytes)
            return UnsafeRawBufferPointer(rebasing: names[..<count])
        }

        private func put(_ unique: UInt64, error: Int32, payloadSizeBytes: Int) {
            let size = MemoryLayout<OutHeader>.size + payloadSizeBytes
            UnsafeMutableRawPointer(header).storeBytes(
                of: OutHeader(lengthBytes: UInt32(size), error: error, unique: unique), as: OutHeader.self)
            header.pointee.payload_size = UInt32(payloadSizeBytes)
        }
    }
}
