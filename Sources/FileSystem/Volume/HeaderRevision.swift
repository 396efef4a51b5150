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
        guard let header = try? Volume.readHeader(storage), header.isAuthentic(keys), header.revision > newest else { return newest }
        // Who replaced it may not have come to sync its name. A head that knows of a header must not outlast it.
        do throws(Failure) { try storage.syncDirectory() } catch { return newest }
        return known.withLock { known in
            known = max(known, header.revision)
            return known
        }
    }
}
