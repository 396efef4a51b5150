import BlobStorage
import Glibc
import Synchronization
import Syscalls
import SystemPackage

/// One process writes a volume, or several read it. The lock is flock(2) on a file of the data directory, so it ends with the process
/// however that ends, and a dead holder's lock is free. The file tells who writes it.
final class VolumeLock: Sendable {
    static let fileName = "efs.lock"
    private let descriptor: Mutex<(any StorageFile)?>
    private let isExclusive: Bool

    init(_ storage: DirectoryStorage, exclusive: Bool) throws(Failure) {
        isExclusive = exclusive
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
        if exclusive { try write(Self.text(process: getpid(), host: Self.hostName())) }
    }

    deinit { release() }

    /// Lets others have the volume.
    func release() {
        // What stays of it would tell whom a reader keeps out that this process does.
        if isExclusive { try? write("") }
        descriptor.withLock { held in
            held?.unlock()
            held = nil
        }
    }

    private func write(_ text: String) throws(Failure) {
        guard let descriptor = descriptor.withLock({ $0 }) else { return }
        do {
            try descriptor.truncate(to: 0)
            try Array(text.utf8).withBytes { (bytes) throws(Errno) in try descriptor.write(bytes, at: 0) }
        } catch { throw Failure(systemCall: "writing", object: Self.fileName, error) }
    }

    static func text(process: pid_t, host: String) -> String { "process \(process) on \(host)\n" }

    static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private static func holder(_ storage: DirectoryStorage) -> String {
        let bytes = (try? storage.readSmallFile(fileName, limitBytes: 512)) ?? []
        return holder(in: String(decoding: bytes, as: UTF8.self), host: hostName()) ?? "a reader or another process"
    }

    /// Who writes the volume, as the file has it. Nil if it says nothing, or names a process of this host that is no more: then readers
    /// have the volume, who leave no word.
    static func holder(in text: String, host: String) -> String? {
        guard let line = text.split(separator: "\n").first.map(String.init) else { return nil }
        let words = line.split(separator: " ")
        if words.count == 4, words[0] == "process", words[3] == host, let process = pid_t(words[1]), process > 0,
            kill(process, 0) != 0, errno == ESRCH
        {
            return nil
        }
        return line
    }
}
