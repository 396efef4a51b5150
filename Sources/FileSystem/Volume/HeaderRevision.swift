import BlobStorage
import KeyManagement
import Sealing
import Synchronization
import Syscalls

/// The newest revision of an open volume's header. The password may be changed while the volume is open, by another process or another
/// machine; the head is to remember that, so that the header from before is not accepted any more. Thread-safe.
final class HeaderRevision: Sendable {
    private let storage: DirectoryStorage
    private let keys: KeyHierarchy
    private let known: Mutex<UInt64>

    init(of header: VolumeHeader, _ storage: DirectoryStorage, _ keys: KeyHierarchy) {
        self.storage = storage
        self.keys = keys
        known = Mutex(header.revision)
    }

    /// The newest that was seen so far.
    var newest: UInt64 { known.withLock { $0 } }

    /// Reads the header again. One that cannot be read or is not authentic says nothing: the next opening refuses it.
    func read() -> UInt64 {
        if let header = try? Volume.readHeader(storage), header.isAuthentic(keys) {
            known.withLock { $0 = max($0, header.revision) }
        }
        return newest
    }
}
