import Synchronization

/// A number that only grows. Thread-safe.
final class Counter: Sendable {
    private let value = Atomic<Int64>(0)
    func increment(by amount: Int64 = 1) { value.wrappingAdd(amount, ordering: .relaxed) }
    var total: Int64 { value.load(ordering: .relaxed) }
}

/// What the server counts, for `/metrics`.
final class ServerMetrics: Sendable {
    let bytesReceived = Counter()
    let bytesSent = Counter()
    /// By the first digit of the status, from 1 to 5.
    let requests = (0..<5).map { _ in Counter() }

    func count(status: Int) {
        let index = status / 100 - 1
        if requests.indices.contains(index) { requests[index].increment() }
    }
}
