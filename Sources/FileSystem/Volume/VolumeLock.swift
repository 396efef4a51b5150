import BlobStorage
import Glibc
import Synchronization
import Syscalls
import SystemPackage

/// One process writes a volume, or several read it. The lock is flock(2) on a file of the data directory, so it ends with the process
/// however that ends, and a dead holder's lock is free. The file tells who holds it.
final class VolumeLock: Sendable {
    static let fileName = "efs.lock"
    private let descriptor: Mutex<OwnedDescriptor?>

    init(_ storage: DirectoryStorage, exclusive: Bool) throws(Failure) {
        do throws(Failure) {
            guard let held = try storage.lock(Self.fileName, exclusive: exclusive) else {
                throw Failure(
                    .busy, "is in use by \(Self.holder(storage))", object: storage.name,
                    hint: "unmount it there first; a volume has one writer", cause: .resourceBusy)
            }
            descriptor = Mutex(held)
        } catch {
            // No lock file: nobody has ever written here, or the directory cannot be written. A reader needs none then.
            guard !exclusive, error.kind == .missing || error.kind == .readOnly || error.kind == .notPermitted else { throw error }
            descriptor = Mutex(nil)
        }
        if exclusive { try write() }
    }

    /// Lets others have the volume.
    func release() { descriptor.withLock { $0 = nil } }

    private func write() throws(Failure) {
        guard let descriptor = descriptor.withLock({ $0 }) else { return }
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let host = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let text = Array("process \(getpid()) on \(host)\n".utf8)
        do {
            try descriptor.truncate(to: 0)
            try text.withBytes { (bytes) throws(Errno) in try descriptor.write(bytes, at: 0) }
        } catch { throw Failure(systemCall: "writing", object: Self.fileName, error) }
    }

    private static func holder(_ storage: DirectoryStorage) -> String {
        do throws(Failure) {
            let bytes = try storage.readSmallFile(fileName, limitBytes: 512) ?? []
            let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
            return line.isEmpty ? "a reader or another process" : line
        } catch { return "another process" }
    }
}
