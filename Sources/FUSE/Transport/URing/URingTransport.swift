import CSyscalls
import CURing
import Glibc
import Synchronization
package import Syscalls
package import SystemPackage

/// Requests and replies over io_uring (kernel 6.14 and newer, Documentation/filesystems/fuse/fuse-io-uring.rst).
///
/// The kernel has a queue for each processor, and sends a request to that of the processor on which the program runs that waits for it. An
/// entry of a queue holds one request at a time. Here each entry has a thread and a ring of its own, so nothing is shared between
/// threads, a handler that waits for the disk holds up its own entry alone, and answering a request and waiting for the next one is
/// one system call. The threads stay on their queue's processor: a request then costs two switches between neighbours and wakes
/// nobody on another processor.
///
/// FORGET, INTERRUPT and notifications stay on the device, which a classic transport reads. It also takes over if the kernel refuses an
/// entry: the kernel then sends everything there.
package final class URingTransport: Transport {
    let device: OwnedDescriptor
    let maxTransferBytes: Int
    private let configuration: URingTransportConfiguration
    private let classic: ClassicTransport
    private let classicThreads: Int
    private let queueCount: Int
    /// A pipe that becomes readable, for ever, when the rings are to end.
    let wakeupReader: OwnedDescriptor
    private let wakeupWriter: OwnedDescriptor
    private let opening = Mutex(Opening())
    private let openingMonitor = Monitor()
    private let refused = Atomic<Bool>(false)
    private let holding: Mutex<Holding>
    private let holdingMonitor = Monitor()

    /// Entries whose requests wait for other requests.
    private struct Holding {
        var counts: [Int]
        var isClosed = false
    }

    private struct Opening {
        var opened = 0
        var failed = 0
    }

    /// Whether this system has what the transport needs, but for the kernel's offer in INIT.
    package static var isAvailable: Bool {
        guard efs_uring_queue_count() > 0 else { return false }
        var error: CInt = 0
        guard let ring = efs_uring_open(&error) else { return false }
        efs_uring_close(ring)
        return true
    }

    /// `device` is /dev/fuse of a mount whose INIT is done, with `overIOUring` agreed on: the kernel holds all requests back until `run`.
    package init(_ device: OwnedDescriptor, _ configuration: SessionConfiguration) throws(Failure) {
        self.device = device
        self.configuration = configuration.uring
        maxTransferBytes = configuration.maxTransferBytes
        classicThreads = configuration.classic.threads + configuration.classic.spareThreads
        queueCount = Int(efs_uring_queue_count())
        holding = Mutex(Holding(counts: Array(repeating: 0, count: queueCount)))
        classic = try ClassicTransport(device, configuration.classic, maxTransferBytes: configuration.maxTransferBytes)
        var ends: [CInt] = [-1, -1]
        do throws(Errno) { _ = try retrying { efs_pipe(&ends, O_CLOEXEC | O_NONBLOCK) } } catch {
            throw Failure(systemCall: "pipe", object: "/dev/fuse", error)
        }
        wakeupReader = OwnedDescriptor(adopting: ends[0])
        wakeupWriter = OwnedDescriptor(adopting: ends[1])
    }

    package var workerCount: Int { classicThreads + queueCount * configuration.entriesPerQueue }

    package var kind: TransportKind { refused.load(ordering: .relaxed) ? .classic : .uring }

    package func run(_ dispatcher: Dispatcher, workers: [RunningRequest]) throws(Failure) {
        precondition(workers.count == workerCount)
        var threads: [WorkerThread] = []
        for (index, running) in workers.dropFirst(classicThreads).enumerated() {
            let queue = index % queueCount
            threads.append(
                WorkerThread(name: "fuse-q\(queue).\(index / queueCount)") { [self] in Entry(self, queue, dispatcher, running).run() })
        }
        defer {
            endRings()
            for thread in threads { thread.join() }
        }
        try classic.run(dispatcher, workers: Array(workers[..<classicThreads]))
    }

    package func stop() {
        // What waits for other requests in the kernel must get them while there still is who answers.
        holdingMonitor.withLock {
            holding.withLock { $0.isClosed = true }
            while holding.withLock({ $0.counts.contains { $0 > 0 } }) { holdingMonitor.wait() }
        }
        endRings()
        classic.stop()
    }

    package func notify(_ message: UnsafeRawBufferPointer) throws(Errno) { try classic.notify(message) }

    /// Waits until every thread has tried to open its ring; false if one has none. The kernel serves nobody until all its queues have
    /// an entry, so then none may be registered as it should.
    func didOpenRing(_ success: Bool) -> Bool {
        openingMonitor.withLock {
            opening.withLock { if success { $0.opened += 1 } else { $0.failed += 1 } }
            openingMonitor.broadcast()
            while opening.withLock({ $0.opened + $0.failed }) < queueCount * configuration.entriesPerQueue { openingMonitor.wait() }
            return opening.withLock { $0.failed == 0 }
        }
    }

    /// An entry of the queue is going to wait for other requests, which may come to the same queue; false if there would be no entry left
    /// for them, or the session ends.
    func beginHolding(_ queue: UInt16) -> Bool {
        let limit = configuration.entriesPerQueue - 1
        return holding.withLock { holding in
            guard !holding.isClosed, holding.counts[Int(queue)] < limit else { return false }
            holding.counts[Int(queue)] += 1
            return true
        }
    }

    func endHolding(_ queue: UInt16) {
        holdingMonitor.withLock {
            holding.withLock { $0.counts[Int(queue)] -= 1 }
            holdingMonitor.broadcast()
        }
    }

    /// The kernel refused an entry: from then on it sends everything to the device.
    func fallBack() {
        refused.store(true, ordering: .relaxed)
        endRings()
    }

    private func endRings() {
        var byte: UInt8 = 0
        // Fails only if the pipe is full, and then it is readable as well.
        _ = Glibc.write(wakeupWriter.rawValue, &byte, 1)
    }
}

/// How the transport over io_uring works.
public struct URingTransportConfiguration: Sendable {
    /// Requests that a processor's programs may have in work at one time; each has a thread. More wait in the kernel.
    public var entriesPerQueue = 4

    public init() {}
}
