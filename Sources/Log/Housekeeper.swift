import BlobStorage
import Synchronization
public import Syscalls
import Tables

/// The thread behind a log that is open for writing: commits after at most five seconds, checkpoints, compacts, cleans, and writes
/// zeros ahead while small commits come one after another.
///
/// Everything it does holds `maintenance`, which no caller of the file system waits for, and takes the other locks as any caller does.
final class Housekeeper: Sendable {
    private struct Wish {
        var isKicked = false
        var wantsZeros = false
        var isStopping = false
    }

    private let monitor = Monitor()
    private let wish = Mutex(Wish())
    private let thread = Mutex<WorkerThread?>(nil)

    func start(_ log: VolumeLog) {
        // Unowned: `close` stops the thread before the log goes.
        thread.withLock { $0 = WorkerThread(name: "efs-log") { [unowned log] in self.run(log) } }
    }

    func kick() { signal { $0.isKicked = true } }
    func kickForZeros() { signal { $0.wantsZeros = true } }

    func stop() {
        signal { $0.isStopping = true }
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    private func signal(_ change: (inout Wish) -> Void) {
        monitor.withLock {
            wish.withLock { change(&$0) }
            monitor.broadcast()
        }
    }

    /// Waits for a wish, at most for a second.
    private func next() -> Wish {
        monitor.withLock {
            let isQuiet = wish.withLock { !$0.isKicked && !$0.wantsZeros && !$0.isStopping }
            if isQuiet { _ = monitor.wait(seconds: 1) }
            return wish.withLock { wish in
                defer {
                    wish.isKicked = false
                    wish.wantsZeros = false
                }
                return wish
            }
        }
    }

    private func run(_ log: VolumeLog) {
        var lastCommit = Clock.seconds()
        while true {
            let wish = next()
            if wish.isStopping { return }
            do throws(Failure) {
                if wish.wantsZeros { try log.zeroFillAhead() }
                if Clock.seconds() - lastCommit >= log.options.commitIntervalSeconds || log.tail.pendingBytes > 32 << 20 {
                    try log.commitInBackground()
                    lastCommit = Clock.seconds()
                }
                try log.maintain()
            } catch {
                log.options.report("background work failed: \(error)")
                if log.tail.failure != nil { return }
            }
        }
    }
}

/// Seconds of the monotonic clock.
enum Clock {
    static func seconds() -> Double {
        let now = ContinuousClock.now
        return Double((now - start).components.seconds) + Double((now - start).components.attoseconds) * 1e-18
    }

    private static let start = ContinuousClock.now
}

extension VolumeLog {
    func zeroFillAhead() throws(Failure) { try tail.zeroFillAhead(1 << 20) }

    /// The commit that comes without anyone asking for it.
    func commitInBackground() throws(Failure) {
        try commitLock.withLock { () throws(Failure) in
            recentCommits = 0
            if hasChanges { try commit() }
        }
    }

    /// One round of upkeep.
    func maintain() throws(Failure) {
        try maintenance.withLock { () throws(Failure) in
            guard tail.hasStarted else { return }
            let isLong = tail.sessionBytes - commitLock.withLock { checkpointBytes } > options.checkpointIntervalBytes
            if isLong || tree.activeSizeBytes > options.memoryTableBytes { try makeCheckpoint(isClean: false) }
            // A step at a time, so that a checkpoint that is due need not wait for all of it.
            for _ in 0..<4 { if try !tree.compactIfNeeded() { break } }
            try clean()
            roomMayBeBack()
        }
    }

    /// Makes everything durable, puts it into tables, and ends. Nothing may be applied any more.
    public func close() throws(Failure) {
        housekeeper?.stop()
        housekeeper = nil
        if options.isReadOnly || tail.failure != nil { return }
        try maintenance.withLock { () throws(Failure) in
            if tail.hasStarted || hasChanges {
                try makeCheckpoint(isClean: true)
                try tail.finish()
            }
            _ = reserve.release()
        }
    }
}
