import BlobStorage
import Synchronization
import Syscalls

/// Room that is really allocated on the storage, so that a full disk leaves enough to delete files, to commit and to clean.
/// Given back when the volume is closed.
final class Reserve: Sendable {
    static let fileName = "efs.reserve"

    private let storage: any BlobStorage
    private let options: LogOptions
    private let isHeld = Mutex(false)

    init(storage: any BlobStorage, options: LogOptions) {
        self.storage = storage
        self.options = options
    }

    /// False if there is no room for it. When a session begins, a smaller one will do: on a storage that is all but full it is the only
    /// room that the cleaner has.
    @discardableResult
    func take(atStart: Bool = false) -> Bool {
        isHeld.withLock { isHeld in
            if isHeld || options.reserveBytes == 0 { return true }
            do throws(Failure) {
                // What a session left behind that did not close is in the way of counting what is free.
                try clear()
                let capacity = try storage.capacity()
                var size = min(options.reserveBytes, capacity.totalBytes / 16)
                // Taking the last room only to be full again at once helps nobody.
                if capacity.availableBytes <= size * 2 {
                    guard atStart, capacity.availableBytes > 4 << 20 else { return false }
                    size = min(size, capacity.availableBytes / 4 * 3)
                }
                try storage.openSmallFile(Self.fileName).allocate(0..<size)
                isHeld = true
                return true
            } catch {
                // A part of it is of no use.
                try? clear()
                return false
            }
        }
    }

    /// Gives back what an earlier session left behind.
    func clear() throws(Failure) {
        do { try storage.deleteSmallFile(Self.fileName) } catch  where error.kind == .missing { return }
    }

    /// False if there was none to give.
    func release() -> Bool {
        isHeld.withLock { held in
            guard held else { return false }
            held = false
            do { try storage.deleteSmallFile(Self.fileName) } catch { return false }
            return true
        }
    }
}
