import CSyscalls
import Glibc

/// A thread of the operating system that runs one closure. `join` waits for its end.
public final class WorkerThread: @unchecked Sendable {
    // @unchecked: `handle` is set in `init` and read only by the one owner that joins.
    private var handle = pthread_t()

    private final class Work {
        let name: String
        let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// `name` is what `ps` and `perf` show: at most 15 bytes of it. All signals are blocked in the
    /// thread, so that they reach the one that waits for them.
    public init(name: String, _ body: @escaping @Sendable () -> Void) {
        let work = Unmanaged.passRetained(Work(name, body))
        let result = efs_thread_create(
            &handle,
            { argument in
                let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
                efs_name_thread(String(work.name.prefix(15)))
                work.body()
                return nil
            }, work.toOpaque())
        precondition(result == 0, "the system has no thread for \(name)")
    }

    public func join() { pthread_join(handle, nil) }
}
