import BlobStorage
import Synchronization
import Syscalls

/// Room that is really allocated on the storage, so that a full disk leaves enough to delete files, to commit and to clean.
/// Given back when the volume is closed.
final class Reserve: Sendable {
    static let fileName = "efs.reserve"

    /// What the room is wanted for.
    enum Use {
        /// Moving live data for the cleaner: may have half of it, so that the checkpoints that come of the moving find room.
        case moving
        /// The same where that was not enough to empty a single segment, so that nothing would ever come back: all but an eighth.
        case movingAtLast
        /// Commits, checkpoints and their tables.
        case committing
    }

    private struct State {
        var takenBytes: UInt64 = 0
        /// What is left of that.
        var heldBytes: UInt64 = 0
        /// What is wanted of this storage; nothing is known of that before it was asked.
        var wantedBytes: UInt64?
        var lastTrySeconds = 0.0

        var isWhole: Bool { heldBytes > 0 && heldBytes == takenBytes && takenBytes == wantedBytes }
    }

    private let storage: any BlobStorage
    private let options: LogOptions
    private let state = Mutex(State())
    private let isHeldNow = Atomic<Bool>(false)
    private let releases = Atomic<Int>(0)
    private static let retrySeconds = 60.0
    /// Less is of no use to the cleaner.
    private static let leastBytes: UInt64 = 2 << 20

    init(storage: any BlobStorage, options: LogOptions) {
        self.storage = storage
        self.options = options
    }

    /// What moving may have of it.
    var bytesForMoving: UInt64 { state.withLock { $0.heldBytes - min($0.heldBytes, $0.takenBytes / 2) } }

    /// Whether nothing of what was taken was given up. Waits for no I/O.
    var isHeld: Bool { options.reserveBytes == 0 || isHeldNow.load(ordering: .acquiring) }

    /// How often some of it was given up.
    var releaseCount: Int { releases.load(ordering: .acquiring) }

    /// Whether there should be more of it, and nobody tried for a while.
    func isDue(at now: Double) -> Bool {
        options.reserveBytes > 0 && state.withLock { !$0.isWhole && now - $0.lastTrySeconds >= Self.retrySeconds }
    }

    /// Takes it, or what is missing of it. False if there is no room for that and nothing of it is held. When a session begins, a smaller
    /// one will do: on a storage that is all but full it is the only room that the cleaner has.
    @discardableResult
    func take(atStart: Bool = false) -> Bool {
        state.withLock { state in
            if options.reserveBytes == 0 || state.isWhole { return true }
            state.lastTrySeconds = Clock.seconds()
            let hasSmaller = state.heldBytes > 0 && state.heldBytes == state.takenBytes
            guard var size = room(atStart: atStart, &state) else { return hasSmaller }
            // What the storage says of its room knows nothing of quotas, so a smaller one is tried there, too.
            while size > state.heldBytes {
                if allocate(size, &state) { return true }
                size = atStart && size > Self.leastBytes ? size / 2 : 0
            }
            return hasSmaller && state.heldBytes == state.takenBytes
        }
    }

    private func allocate(_ size: UInt64, _ state: inout State) -> Bool {
        do throws(Failure) {
            try storage.openSmallFile(Self.fileName).allocate(0..<size)
            state.takenBytes = size
            state.heldBytes = size
            isHeldNow.store(true, ordering: .releasing)
            return true
        } catch {
            goBack(&state)
            return false
        }
    }

    /// How much to take; nil if there is no room for it.
    private func room(atStart: Bool, _ state: inout State) -> UInt64? {
        guard let capacity = try? storage.capacity() else { return nil }
        let wanted = min(options.reserveBytes, capacity.totalBytes / 16)
        state.wantedBytes = wanted
        // Taking the last room only to be full again at once helps nobody.
        if capacity.availableBytes + state.heldBytes > wanted * 2 { return wanted }
        return atStart && capacity.availableBytes > 4 << 20 ? min(wanted, capacity.availableBytes / 4 * 3) : nil
    }

    /// What was taken beyond what is held is of no use.
    private func goBack(_ state: inout State) {
        do throws(Failure) {
            if state.heldBytes > 0 {
                try storage.openSmallFile(Self.fileName).truncate(to: state.heldBytes)
            } else {
                try clear()
            }
        } catch { state.heldBytes = 0 }
    }

    /// Gives back what an earlier session left behind.
    func clear() throws(Failure) {
        do { try storage.deleteSmallFile(Self.fileName) } catch  where error.kind == .missing { return }
    }

    /// Gives what is left then.
    private func shrink(to kept: UInt64) throws(Failure) -> UInt64 {
        if kept > 0, storage.overwritesInPlace {
            try storage.openSmallFile(Self.fileName).truncate(to: kept)
            return kept
        }
        try clear()
        guard kept > 0 else { return 0 }
        // btrfs gives nothing back of what was allocated at once until all of it is gone.
        do { try storage.openSmallFile(Self.fileName).allocate(0..<kept) } catch { return 0 }
        return kept
    }

    private func keptBytes(for use: Use, of taken: UInt64) -> UInt64 {
        switch use {
        case .moving: taken / 2
        case .movingAtLast: taken / 8
        case .committing: 0
        }
    }

    /// Gives back what that use may have; false if there is none.
    func release(for use: Use) -> Bool {
        state.withLock { state in
            let kept = keptBytes(for: use, of: state.takenBytes)
            guard state.heldBytes > kept else { return false }
            isHeldNow.store(false, ordering: .releasing)
            do throws(Failure) { state.heldBytes = try shrink(to: kept) } catch {
                isHeldNow.store(state.heldBytes == state.takenBytes, ordering: .releasing)
                return false
            }
            releases.add(1, ordering: .releasing)
            return true
        }
    }
}
