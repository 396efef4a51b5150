import FUSE
import Synchronization
import Syscalls

extension MemoryFileSystem {
    func forget(_ list: ForgetList) {
        note("forget")
        state.withLock { state in
            for (id, lookups) in list {
                guard let node = state.nodes[id.rawValue] else { continue }
                node.lookups -= min(lookups, node.lookups)
                state.dropIfUnused(node)
            }
        }
        forgotten.withLock { forgotten.broadcast() }
    }

    /// Until no more than `count` nodes are known; false if that takes longer than half a minute.
    func waitForNodes(_ count: Int) -> Bool {
        let limit = ContinuousClock.now + .seconds(30)
        return forgotten.withLock {
            while state.withLock({ $0.nodes.count }) > count {
                guard ContinuousClock.now < limit else { return false }
                _ = forgotten.wait(seconds: 1)
            }
            return true
        }
    }
}
