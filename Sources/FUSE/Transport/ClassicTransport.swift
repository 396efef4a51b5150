import CSyscalls
import Glibc
package import Syscalls
package import SystemPackage

/// Requests by read(2) from /dev/fuse, replies by write(2).
///
/// One worker at a time is the leader: it alone reads, first in a short spin, then asleep in poll(2). The others wait in user
/// space, since the kernel would wake them at every request, which costs more than the request. A leader handles what is
/// quick itself and goes on; before what takes long (much data, syncing, what has taken long of late) it hands leadership over.
/// Spare workers are for the case that all others wait, as writers do on a full disk until the cleaner has made room.
package final class ClassicTransport: Transport {
    let device: OwnedDescriptor
    /// A pipe that becomes readable, for ever, when `stop` is called.
    private let wakeupReader: OwnedDescriptor
    private let wakeupWriter: OwnedDescriptor
    let configuration: ClassicTransportConfiguration
    let maxTransferBytes: Int
    let leadership = Leadership()
    let durations = Durations()
    private let pendingSeeks = PendingSeeks()

    /// `device` is /dev/fuse of a mount whose INIT is done; it becomes non-blocking.
    package init(_ device: OwnedDescriptor, _ configuration: ClassicTransportConfiguration, maxTransferBytes: Int) throws(Failure) {
        self.device = device
        self.configuration = configuration
        self.maxTransferBytes = maxTransferBytes
        do throws(Errno) {
            var ends: [CInt] = [-1, -1]
            _ = try retrying { efs_pipe(&ends, O_CLOEXEC | O_NONBLOCK) }
            wakeupReader = OwnedDescriptor(adopting: ends[0])
            wakeupWriter = OwnedDescriptor(adopting: ends[1])
            try device.setNonBlocking()
        } catch {
            throw Failure(systemCall: "preparing /dev/fuse", object: "/dev/fuse", error)
        }
    }

    package var workerCount: Int { configuration.threads + configuration.spareThreads }
    package var kind: TransportKind { .classic }

    package func run(_ dispatcher: Dispatcher, workers: [RunningRequest]) throws(Failure) {
        let threads = workers.enumerated().map { index, running in
            WorkerThread(name: "fuse-\(index)") { [self] in
                Worker(self, dispatcher, running, isSpare: index >= configuration.threads).run()
            }
        }
        let seeker = WorkerThread(name: "fuse-seek") { [self] in
            let buffers = RequestBuffers(maxTransferBytes: 0)
            pendingSeeks.run { seek in finish(seek, dispatcher, buffers) }
        }
        for thread in threads { thread.join() }
        pendingSeeks.close()
        seeker.join()
        if let error = leadership.error { throw Failure(systemCall: "read", object: "/dev/fuse", error) }
    }

    package func stop() {
        pendingSeeks.close()
        leadership.end(nil)
        var byte: UInt8 = 0
        // Fails only if the pipe is full, and then it is readable as well.
        _ = Glibc.write(wakeupWriter.rawValue, &byte, 1)
    }

    package func notify(_ message: UnsafeRawBufferPointer) throws(Errno) {
        _ = try retryingCount { Glibc.write(device.rawValue, message.baseAddress, message.count) }
    }

    // MARK: Searches

    /// Takes a search over from the worker that has it; false if the session ends.
    func add(_ seek: PendingSeek, _ dispatcher: Dispatcher) -> Bool {
        dispatcher.beginPending(seek.unique)
        if pendingSeeks.add(seek) { return true }
        dispatcher.endPending(seek.unique)
        return false
    }

    private func finish(_ seek: PendingSeek, _ dispatcher: Dispatcher, _ buffers: borrowing RequestBuffers) {
        let result = seek.finish { bytes throws(Errno) in try notify(bytes) }
        dispatcher.endPending(seek.unique)
        switch result {
        case .success(let offset):
            buffers.replyPayload.storeBytes(of: LseekOut(offset: offset), as: LseekOut.self)
            send(buffers.message(seek.unique, error: 0, payloadSizeBytes: MemoryLayout<LseekOut>.size))
        case .failure(let error): send(buffers.message(seek.unique, error: -error.rawValue, payloadSizeBytes: 0))
        }
    }

    /// Sends a reply.
    func send(_ message: UnsafeRawBufferPointer) {
        while Glibc.write(device.rawValue, message.baseAddress, message.count) < 0 {
            switch errno {
            case EINTR, EAGAIN: continue
            // The request was aborted; or a reply that the kernel refuses, for which it has ended the request with EIO.
            default: return
            }
        }
    }

    /// Sleeps until there is a request, or `stop`.
    func sleep() {
        var pair = (
            pollfd(fd: device.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeupReader.rawValue, events: Int16(POLLIN), revents: 0)
        )
        _ = withUnsafeMutableBytes(of: &pair) { poll($0.baseAddress!.assumingMemoryBound(to: pollfd.self), 2, -1) }
    }
}
