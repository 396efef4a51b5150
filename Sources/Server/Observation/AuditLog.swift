import FoundationEssentials
import Glibc
import HTTPTypes
import Logging
import Sealing
import Synchronization
import Syscalls
import SystemPackage

/// One JSON line for each access, each with the SHA-256 of the line before (docs/SERVER.md, *Audit log*). Thread-safe.
final class AuditLog: Sendable {
    /// An access that is under way.
    struct Access: Sendable {
        var operation: String
        var peer: String
        var certificate: Digest32
        var user = ""
        var fileSystem = ""
        var path: RequestPath?
        var pathKey: SecretBytes?
        /// What stands for the path, where that is known already.
        var pseudonym: String?
        var status = 0
        var bytes: Int64 = 0
    }

    private struct State {
        var sequence: UInt64
        var head: Digest32
        var line: [UInt8] = []
        var hasFailed = false
        var clock = AuditClock()
    }

    private let file: OwnedDescriptor
    private let state: Mutex<State>
    private let logger: Logger

    init(path: String, logger: Logger) throws(Failure) {
        self.logger = logger
        do { file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600) } catch {
            throw Failure(systemCall: "opening the audit log", object: path, error)
        }
        state = Mutex(try Self.resume(file, path))
    }

    /// Number and digest of the last line.
    var head: (sequence: UInt64, digest: Digest32) { state.withLock { ($0.sequence, $0.head) } }

    func begin(_ call: APIResponder.Call) -> Access {
        Access(operation: call.method.rawValue, peer: call.connection.peer, certificate: call.connection.clientCertificate)
    }

    func end(_ access: Access) {
        let path = access.pseudonym ?? access.path.flatMap { path in access.pathKey.map { Self.pseudonym(path, $0) } } ?? ""
        state.withLock { state in
            Self.write(access, path, &state)
            state.sequence += 1
            state.head = DigestHasher.digest(of: state.line)
            state.line.append(UInt8(ascii: "\n"))
            let written = Glibc.write(file.rawValue, state.line, state.line.count)
            if written != state.line.count, !state.hasFailed {
                state.hasFailed = true
                logger.error("the audit log cannot be written: accesses go on without it")
            }
        }
    }

    /// The members in the order of their names. There is one such line for each request, so it is put together without an encoder.
    private static func write(_ access: Access, _ path: String, _ state: inout State) {
        // The memory of the line before, which nobody else has.
        var memory: [UInt8] = []
        swap(&memory, &state.line)
        memory.removeAll(keepingCapacity: true)
        var line = AuditLine(bytes: consume memory)
        line.append("bytes", access.bytes)
        line.append("cert", hexadecimal: access.certificate, digits: 16)
        line.append("fs", access.fileSystem)
        line.append("op", access.operation)
        line.append("path", path)
        line.append("peer", access.peer)
        line.append("prev", hexadecimal: state.head, digits: 64)
        line.append("seq", Int64(clamping: state.sequence + 1))
        line.append("status", Int64(access.status))
        line.append("time", state.clock.now())
        line.append("user", access.user)
        state.line = line.finish()
    }

    /// What stands for a path: nobody without the file system's salt can tell which it is.
    static func pseudonym(_ path: RequestPath, _ key: SecretBytes) -> String {
        let code = path.bytes.withBytes { KeyDerivation.authenticationCode(of: $0, key: key) }
        return String(code.description.prefix(32))
    }

    /// Goes on behind the last whole line; one that a crash has cut is left as it is, and closed.
    private static func resume(_ file: OwnedDescriptor, _ path: String) throws(Failure) -> State {
        do throws(Errno) {
            let size = try file.sizeBytes()
            let count = min(size, 64 << 10)
            guard count > 0 else { return State(sequence: 0, head: .zero) }
            var tail = [UInt8](repeating: 0, count: Int(count))
            _ = try tail.withMutableBytes { (buffer) throws(Errno) in try file.read(at: size - count, into: buffer) }
            if tail.last != UInt8(ascii: "\n") {
                _ = Glibc.write(file.rawValue, "\n", 1)
                tail.append(UInt8(ascii: "\n"))
            }
            guard let last = tail.dropLast().split(separator: UInt8(ascii: "\n")).last else { return State(sequence: 0, head: .zero) }
            let line = try? JSONDecoder().decode(Sequence.self, from: Data(last))
            return State(sequence: line?.seq ?? 0, head: DigestHasher.digest(of: Array(last)))
        } catch {
            throw Failure(systemCall: "reading the audit log", object: path, error)
        }
    }

    private struct Sequence: Decodable { var seq: UInt64 }
}
