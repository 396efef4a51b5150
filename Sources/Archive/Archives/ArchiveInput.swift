import CSyscalls
import Glibc
public import Sealing
public import Syscalls
import SystemPackage

/// What opens an archive.
public enum ArchiveOpening: Sendable {
    case none
    case password(SecretBytes)
    /// age alone has these.
    case identities([AgeIdentity])
}

/// An archive to read: looks at how it begins before a password is asked.
///
/// AES Crypt authenticates only at its end, so such an archive is read twice: first to verify all of it, then to restore. What is
/// no regular file is copied first, still encrypted, to a file without a name in TMPDIR (/var/tmp). The other formats are read once.
public final class ArchiveInput {
    private let name: String
    private let progress: (Double?) throws(Failure) -> Void
    private var file: OwnedDescriptor
    private var source: BufferedSource
    private var sizeBytes: UInt64?
    private var bytesRead: UInt64 = 0
    private var passCount: UInt64 = 1
    public private(set) var encryption: ArchiveFormat.Encryption

    /// Opens an archive. If its name says that it is encrypted, it must be. Fails with `.missing`, `.damaged` ….
    /// - Parameter progress: told often which part of the work is done, nil where the archive's size is not known; may throw.
    public init(path: String, progress: @escaping (Double?) throws(Failure) -> Void = { _ in }) throws(Failure) {
        name = path
        self.progress = progress
        do throws(Errno) {
            file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY)
            let status = try file.status()
            if mode_t(status.st_mode) & S_IFMT == S_IFDIR { throw Errno.isDirectory }
            if mode_t(status.st_mode) & S_IFMT == S_IFREG { sizeBytes = UInt64(status.st_size) }
        } catch { throw Failure(systemCall: "opening the archive", object: path, error) }
        source = BufferedSource(MemorySource([]))
        encryption = .none
        open()
        let start = try source.peek(32)
        if start.starts(with: AESCryptFormat.magic) && start.count > 3 && start[3] < 32 {
            encryption = .aesCrypt
        } else if start.starts(with: "age-encryption.org/".utf8) {
            encryption = .age
        } else {
            encryption = .none
        }
        if let format = ArchiveFormat(fileName: path), format.encryption != encryption {
            throw Failure(
                .damaged, "the archive is not what its name says: \(Self.text(encryption)) and not \(Self.text(format.encryption))",
                object: path, hint: "somebody may have exchanged or damaged it; if not, give it its right name")
        }
    }

    private static func text(_ encryption: ArchiveFormat.Encryption) -> String {
        switch encryption {
        case .none: "not encrypted"
        case .aesCrypt: "AES Crypt"
        case .age: "age"
        }
    }

    private func open() {
        source = BufferedSource(
            DescriptorSource(file, name: name) { [unowned self] (count) throws(Failure) in
                bytesRead += UInt64(count)
                try progress(sizeBytes.map { $0 == 0 ? 1 : min(1, Double(bytesRead) / Double($0 * passCount)) })
            })
    }

    private func rewind() throws(Failure) {
        if lseek(file.rawValue, 0, SEEK_SET) < 0 { throw Failure(systemCall: "reading", object: name, Errno.current) }
        open()
    }

    /// The tar archive inside; to be asked for once.
    func tar(_ opening: ArchiveOpening) throws(Failure) -> any ByteSource {
        let plain = BufferedSource(try opened(opening))
        let start = try plain.peek(4)
        if start.starts(with: [0x1F, 0x8B]) { return GzipSource(plain) }
        if start.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return ZstdSource(plain) }
        return plain
    }

    private func opened(_ opening: ArchiveOpening) throws(Failure) -> any ByteSource {
        switch (encryption, opening) {
        case (.none, .none): return source
        case (.none, _):
            throw Failure(
                .damaged, "the archive is not encrypted, but a password or key was given for it", object: name,
                hint: "somebody may have exchanged it; if not, leave the password out")
        case (.aesCrypt, .password(let password)):
            if sizeBytes == nil { try spool() }
            passCount = 2
            bytesRead = 0
            try rewind()
            try AESCryptSource.verify(source, password: password)
            try rewind()
            return try AESCryptSource(source, password: password)
        case (.age, .password(let password)): return try AgeSource(source, with: .password(password))
        case (.age, .identities(let identities)): return try AgeSource(source, with: .identities(identities))
        case (.aesCrypt, .identities): throw Failure(.usage, "an .aes archive opens with a password, not with a key", object: name)
        case (_, .none): throw Failure(.usage, "the archive is encrypted: its password is needed", object: name)
        }
    }

    private func spool() throws(Failure) {
        let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
        let copy: OwnedDescriptor
        do throws(Errno) { copy = try OwnedDescriptor.open(directory, O_RDWR | efs_open_unnamed, mode: 0o600) } catch {
            throw Failure(systemCall: "making a temporary file", object: directory, error)
        }
        let sink = DescriptorSink(copy, name: directory)
        let buffer = StageBuffer(count: 1 << 20)
        while true {
            let count = try source.read(into: buffer.bytes)
            if count == 0 { break }
            try sink.write(UnsafeRawBufferPointer(buffer[0..<count]))
        }
        try sink.finish()
        sizeBytes = sink.bytesWritten
        file = copy
    }
}
