import Client
import Glibc
import NIOCore
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// A local file on its way: written under a hidden name beside its place and renamed when it is whole, so that its name shows the
/// old content or the new. With a resume key the hidden name follows from it, and the next copy of the same state of the same
/// source goes on. One writer.
final class PartialFile: Sendable {
    private let path: LocalPath
    private let partial: LocalPath
    private let state = Mutex<(file: OwnedDescriptor?, offset: UInt64)>((nil, 0))

    init(_ path: LocalPath, resumeKey: String?) {
        self.path = path
        let tag =
            if let resumeKey {
                String(DigestHasher.digest(of: Array(resumeKey.utf8)).description.prefix(16))
            } else {
                Hexadecimal.encode(RandomSource.system.bytes(count: 8))
            }
        partial = path.parent.appending(Array(".\(tag).efs-part".utf8))
    }

    private func failure(_ call: String, _ errno: Errno) -> Failure { Failure(systemCall: call, object: path.description, errno) }

    /// Opens what there is, or a new one; how many bytes are there already. Directories are made.
    func open(upTo size: UInt64) throws(Failure) -> UInt64 {
        do {
            let file = try openFile()
            var offset = UInt64(try file.status().st_size)
            // What is longer than the source is of something else.
            if offset > size { offset = 0 }
            try file.truncate(to: offset)
            state.withLock { $0 = (file, offset) }
            return offset
        } catch { throw failure("open", error) }
    }

    private func openFile() throws(Errno) -> OwnedDescriptor {
        let flags = O_WRONLY | O_CREAT | O_NOFOLLOW
        do { return try OwnedDescriptor.open(path: partial.cString, flags, mode: 0o600) } catch {
            guard error == .noSuchFileOrDirectory else { throw error }
            do { try LocalTree.makeDirectories(path.parent) } catch { throw error.cause ?? .noSuchFileOrDirectory }
            return try OwnedDescriptor.open(path: partial.cString, flags, mode: 0o600)
        }
    }

    func append(_ piece: ByteBuffer) throws(Failure) {
        let (file, offset) = state.withLock { state in
            defer { state.offset += UInt64(piece.readableBytes) }
            return (state.file, state.offset)
        }
        guard let file else { throw failure("write", .badFileDescriptor) }
        var cause: Errno?
        piece.withUnsafeReadableBytes { bytes in
            do throws(Errno) { try file.write(bytes, at: offset) } catch { cause = error }
        }
        if let cause { throw failure("write", cause) }
    }

    /// Gives the file its times, its mode and its name, once it is whole and on the disk.
    func finish(size: UInt64, _ attributes: FileAttributes) throws(Failure) {
        let (file, offset) = state.withLock { $0 }
        guard let file, offset == size else {
            throw Failure(.conflict, "\(offset) of \(size) bytes came: the source changed meanwhile", object: path.description)
        }
        do {
            let mask = umask(0)
            umask(mask)
            _ = try retrying { fchmod(file.rawValue, (attributes.mode ?? 0o666) & 0o777 & ~mask) }
            if let seconds = attributes.modified {
                let time = timespec(tv_sec: Int(seconds), tv_nsec: Int(attributes.modifiedNanoseconds))
                _ = try retrying { [time, time].withUnsafeBufferPointer { futimens(file.rawValue, $0.baseAddress) } }
            }
            try file.sync()
            _ = try retrying { rename(partial.cString, path.cString) }
        } catch { throw failure("writing", error) }
    }

    func abandon() { unlink(partial.cString) }
}
