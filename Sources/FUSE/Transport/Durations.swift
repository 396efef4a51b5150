import Synchronization

/// How long handling each kind of request has taken of late, as a moving average. Written by all workers without locks: a lost
/// update only makes a guess older.
final class Durations: Sendable {
    /// Above this, having another thread woken for the next request is worth its cost.
    private static let longNanoseconds: UInt64 = 60_000
    /// As above for those that always move much data or wait for the disk.
    private static let largeBytes: UInt32 = 32 << 10
    private static let kindCount = 64

    private let averages: [Slot]

    private final class Slot: Sendable {
        let nanoseconds = Atomic<UInt64>(0)
    }

    init() { averages = (0..<Self.kindCount).map { _ in Slot() } }

    func note(_ request: Request, nanoseconds: UInt64) {
        let slot = averages[Int(request.header.opcode) % Self.kindCount]
        let old = slot.nanoseconds.load(ordering: .relaxed)
        // One request that waited for a second must not make the next hundred look slow.
        slot.nanoseconds.store((old &* 7 &+ min(nanoseconds, 1_000_000)) / 8, ordering: .relaxed)
    }

    /// Whether others should be served while this request is handled.
    func isLong(_ request: Request) -> Bool {
        switch Opcode(rawValue: request.header.opcode) {
        case .fsync, .fsyncdir, .syncfs, .fallocate, .copyFileRange, .copyFileRange64, .destroy: return true
        case .write where request.payload.count >= Self.largeBytes: return true
        case .read where request.readSizeBytes >= Self.largeBytes: return true
        default:
            let slot = averages[Int(request.header.opcode) % Self.kindCount]
            return slot.nanoseconds.load(ordering: .relaxed) > Self.longNanoseconds
        }
    }
}

extension Request {
    fileprivate var readSizeBytes: UInt32 {
        operation.count >= MemoryLayout<ReadIn>.size ? operation.loadUnaligned(as: ReadIn.self).size : 0
    }
}
