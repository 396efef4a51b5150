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
        /// Commits, checkpoints and their tables.
        case committing
    }

    private struct State {
        var takenBytes: UInt64 = 0
        /// What is left of that.
        var heldBytes: UInt64 = 0
    }

    private let storage: any BlobStorage
    private let options: LogOptions
    private let state = Mutex(State())

    init(storage: any BlobStorage, options: LogOptions) {
        self.storage = storage
        self.options = options
    }

    /// What moving may have of it.
    var bytesForMoving: UInt64 { state.withLock { $0.heldBytes - min($0.heldBytes, $0.takenBytes / 2) } }

    /// False if there is no room for it. When a session begins, a smaller one will do: on a storage that is all but full it is the only
    /// room that the cleaner has.
    @discardableResult
    func take(atStart: Bool = false) -> Bool {
        state.withLock { state in
            if options.reserveBytes == 0 || state.heldBytes > 0 && state.heldBytes == state.takenBytes { return true }
            do throws(Failure) {
                let capacity = try storage.capacity()
                var size = min(options.reserveBytes, capacity.totalBytes / 16)
                // Taking the last room only to be full again at once helps nobody.
                if capacity.availableBytes + state.heldBytes <= size * 2 {
                    guard atStart, capacity.availableBytes > 4 << 20 else { return false }
                    size = min(size, capacity.availableBytes / 4 * 3)
                }
                try storage.openSmallFile(Self.fileName).allocate(0..<size)
                state = State(takenBytes: size, heldBytes: size)
                return true
            } catch {
                // A part of it is of no use.
                try? clear()
                state.heldBytes = 0
                return false
            }
        }
    }

    /// Gives back what an earlier session left behind.
    func clear() throws(Failure) {
        do { try storage.deleteSmallFile(Self.fileName) } catch  where error.kind == .missing { return }
    }

    /// Gives back what that use may have; false if there is none.
    func release(for use: Use) -> Bool {
        state.withLock { state in
            let kept = use == .moving ? state.takenBytes / 2 : 0
            guard state.heldBytes > kept else { return false }
            do throws(Failure) {
                if kept > 0 { try storage.openSmallFile(Self.fileName).truncate(to: kept) } else { try clear() }
            } catch { return false }
            state.heldBytes = kept
            return true
        }
    }
}
