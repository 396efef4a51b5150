import HTTPTypes
import NIOPosix
import Synchronization
import Syscalls

/// The threads that call the engine, which is synchronous. A bounded number of calls waits for one.
final class EngineThreads: Sendable {
    private let pool: NIOThreadPool
    private let queued = Atomic<Int>(0)
    private let limit: Int

    init(count: Int, limit: Int) {
        pool = NIOThreadPool(numberOfThreads: count)
        self.limit = limit
        pool.start()
    }

    /// Calls that wait or run.
    var load: Int { queued.load(ordering: .relaxed) }

    /// Runs `body` on one of the threads. Fails with `busy` where too many wait.
    func run<T: Sendable>(_ body: @escaping @Sendable () throws(Problem) -> T) async throws(Problem) -> T {
        guard queued.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
            queued.wrappingSubtract(1, ordering: .relaxed)
            throw .busy
        }
        defer { queued.wrappingSubtract(1, ordering: .relaxed) }
        let result: Result<T, Problem>
        do {
            result = try await pool.runIfActive { () -> Result<T, Problem> in
                do throws(Problem) { return .success(try body()) } catch { return .failure(error) }
            }
        } catch { throw Problem(.serviceUnavailable, "stopping", "the server is ending") }
        return try result.get()
    }

    /// Runs an administrator's work, however many requests wait.
    func administer<T: Sendable>(_ body: @escaping @Sendable () throws(Failure) -> T) async throws(Failure) -> T {
        let result: Result<T, Failure>
        do {
            result = try await pool.runIfActive { () -> Result<T, Failure> in
                do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
            }
        } catch { throw Failure(.busy, "the server is ending") }
        return try result.get()
    }

    func stop() async { try? await pool.shutdownGracefully() }
}
