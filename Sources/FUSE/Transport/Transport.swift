package import Syscalls
package import SystemPackage

/// Brings requests to a dispatcher and takes its replies to the kernel. What handles a request sees the header, the
/// operation's structure, the payload and a buffer for the reply, and does not know which transport they came by.
package protocol Transport: AnyObject, Sendable {
    /// How many requests may be in work at one time; `run` takes so many.
    var workerCount: Int { get }

    /// What is really in use.
    var kind: TransportKind { get }

    /// Serves until the mount is gone or `stop` is called; blocks.
    func run(_ dispatcher: Dispatcher, workers: [RunningRequest]) throws(Failure)

    /// Makes `run` return soon, from any thread. Requests in work are finished.
    func stop()

    /// Sends a whole notification. Blocks while the kernel holds locks that it needs.
    func notify(_ message: UnsafeRawBufferPointer) throws(Errno)
}

/// By which way requests come.
public enum TransportKind: String, Sendable {
    /// read(2) and write(2) on /dev/fuse.
    case classic
    /// FUSE over io_uring.
    case uring
}

/// Which transport is wanted.
public enum TransportChoice: String, Sendable, CaseIterable {
    /// io_uring where the kernel offers it, else classic.
    case auto
    case classic
    /// io_uring, or the session fails.
    case uring
}

/// How the classic transport waits.
public struct ClassicTransportConfiguration: Sendable {
    /// Number of threads that handle requests.
    public var threads = 3
    /// Threads besides, that do something only while all others wait: as many as requests that the kernel has in the background.
    public var spareThreads = 64
    /// How long an idle worker looks for the next request before it sleeps. Waking a thread costs more than this.
    public var spinMicroseconds = 50

    public init() {}
}
