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
        var status = 0
        var bytes: Int64 = 0
    }

    private struct State {
        var sequence: UInt64
        var head: Digest32
        var pending: [UInt8] = []
        var hasFailed = false
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

    private struct Line: Encodable {
        var seq: UInt64
        var time: String
        var user: String
        var fs: String
        var cert: String
        var peer: String
        var op: String
        var path: String
        var status: Int
        var bytes: Int64
        var prev: String
    }

    func end(_ access: Access) {
        let path = access.path.flatMap { path in access.pathKey.map { Self.pseudonym(path, $0) } } ?? ""
        let time = Self.now()
        state.withLock { state in
            let line = Line(
                seq: state.sequence + 1, time: time, user: access.user, fs: access.fileSystem,
                cert: String(access.certificate.description.prefix(16)), peer: access.peer, op: access.operation, path: path,
                status: access.status, bytes: access.bytes, prev: state.head.description)
            append(line, &state)
        }
    }

    private func append(_ line: Line, _ state: inout State) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard var bytes = try? Array(encoder.encode(line)) else { return }
        state.sequence += 1
        state.head = DigestHasher.digest(of: bytes)
        bytes.append(UInt8(ascii: "\n"))
        let written = Glibc.write(file.rawValue, bytes, bytes.count)
        if written != bytes.count, !state.hasFailed {
            state.hasFailed = true
            logger.error("the audit log cannot be written: accesses go on without it")
        }
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

    /// UTC to the millisecond, RFC 3339.
    private static func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let milliseconds = String(time.tv_nsec / 1_000_000)
        let text = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text + "." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds + "Z"
    }
}
