import Records
import Synchronization

/// Memory of one running operation that holds no lock.
final class Scratch {
    var extents: [Extent] = []
    var bytes = ByteWriter(capacityBytes: 4096)
}

/// Keeps scratch memory from one operation to the next, so that they allocate nothing. Thread-safe.
final class ScratchPool: Sendable {
    /// Wraps the list: a scratch is owned by the pool or by the one operation that took it.
    private struct Free: @unchecked Sendable {
        // @unchecked: reached under the mutex only; what is taken out is not in here any more.
        var list: [Scratch] = []
    }

    private static let keptCount = 16
    private let free = Mutex(Free())

    func take() -> Scratch {
        let kept = free.withLock { UncheckedScratch(value: $0.list.popLast()) }
        return kept.value ?? Scratch()
    }

    func give(_ scratch: Scratch) {
        let returned = UncheckedScratch(value: scratch)
        free.withLock { free in
            if free.list.count < Self.keptCount, let scratch = returned.value { free.list.append(scratch) }
        }
    }

    /// Carries a scratch across the mutex' boundary; it has one owner at a time.
    private struct UncheckedScratch: @unchecked Sendable {
        // @unchecked: see above.
        var value: Scratch?
    }
}
