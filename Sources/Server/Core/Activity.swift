import NIOCore
import NIOPosix
import Synchronization

/// The requests of an instance that are under way. Thread-safe.
final class Activity: Sendable {
    private struct State {
        var count = 0
        var drained: [Gate] = []
    }

    private let state = Mutex(State())

    func begin() { state.withLock { $0.count += 1 } }

    func end() {
        let gates = state.withLock { state -> [Gate] in
            state.count -= 1
            guard state.count == 0 else { return [] }
            defer { state.drained = [] }
            return state.drained
        }
        for gate in gates { gate.open() }
    }

    /// Returns when none is under way, or after so many seconds; says which.
    func waitUntilDrained(seconds: Int64) async -> Bool {
        let gate = Gate()
        let isDrained = state.withLock { state -> Bool in
            if state.count > 0 { state.drained.append(gate) }
            return state.count == 0
        }
        if isDrained { return true }
        let timer = MultiThreadedEventLoopGroup.singleton.next().scheduleTask(in: .seconds(seconds)) { gate.open() }
        await gate.wait()
        timer.cancel()
        return state.withLock { $0.count == 0 }
    }
}

/// A request's hold on the instance: volumes are closed only when nobody has one.
final class RequestLease: Sendable {
    let instance: Instance

    /// The instance must not be sealing yet: see `ServerCore.requireLease`.
    init(_ instance: Instance) {
        self.instance = instance
        instance.activity.begin()
    }

    deinit { instance.activity.end() }
}
