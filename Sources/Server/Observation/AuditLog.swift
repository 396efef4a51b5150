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
    struct State {
        var sequence: UInt64
        /// SHA-256 of the last whole line.
        var head: Digest32
        /// Of the file, as far as whole lines go.
        var sizeBytes: UInt64
        /// The file ends in the middle of a line, which a crash or a full disk has cut.
        var isCut = false
        var hasFailed = false
    }

    /// A method is a client's choice.
    private static let largestOperationBytes = 32
    /// What is said of a request's target besides the pseudonym of its path: nothing of it that could be a path.
    private static let routes = [
        "/auth/nonce", "/auth/session", "/auth/renew", "/metadata", "/move", "/copy", "/uploads", "/file-system", "/cache/clear", "/server",
        "/openapi.json",
    ]

    let path: String
    let file: OwnedDescriptor
    let state: Mutex<State>
    let lost = Counter()
    private let logger: Logger

    init(path: String, logger: Logger) throws(Failure) {
        self.logger = logger
        self.path = path
        do { file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600) } catch {
            throw Failure(systemCall: "opening the audit log", object: path, error)
        }
        state = Mutex(try Self.resume(file, path))
    }

    /// Number and digest of the last line.
    var head: (sequence: UInt64, digest: Digest32) { state.withLock { ($0.sequence, $0.head) } }

    private struct Line: Encodable {
        var seq: UInt64
        var time: String
        var user: String
        var fs: String
        var cert: String
        var peer: String
        var op: String
        var path: String
        var to: String?
        var status: Int
        var bytes: Int64
        var prev: String
    }

    /// An access that is over.
    func note(_ call: APIResponder.Call, status: Int) {
        let notes = call.notes.current
        let paths = notes.pathKey.map { key in notes.paths.map { Self.pseudonym($0, key) } } ?? []
        let route = call.target.path
        var operation = String(call.method.rawValue.prefix(Self.largestOperationBytes))
        if let known = Self.routes.first(where: { route == "/v1\($0)" || route.hasPrefix("/v1\($0)/") }) { operation += " " + known }
        let time = Self.now()
        state.withLock { state in
            let line = Line(
                seq: state.sequence + 1, time: time, user: notes.user, fs: notes.fileSystem,
                cert: String(call.connection.clientCertificate.description.prefix(16)), peer: call.connection.peer, op: operation,
                path: paths.first ?? "", to: paths.dropFirst().first, status: status, bytes: notes.received + notes.sent,
                prev: state.head.description)
            append(line, &state)
        }
    }

    /// A line that cannot be written whole is taken back: those that follow go on behind the last whole one.
    private func append(_ line: Line, _ state: inout State) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? Array(encoder.encode(line)) else { return }
        let bytes = (state.isCut ? [UInt8(ascii: "\n")] : []) + json + [UInt8(ascii: "\n")]
        let written = Glibc.write(file.rawValue, bytes, bytes.count)
        if written == bytes.count {
            state.sequence += 1
            state.head = DigestHasher.digest(of: json)
            state.sizeBytes += UInt64(bytes.count)
            state.isCut = false
            state.hasFailed = false
            return
        }
        lost.increment()
        if written > 0, ftruncate(file.rawValue, off_t(state.sizeBytes)) != 0 {
            state.isCut = true
            state.sizeBytes += UInt64(written)
        }
        if !state.hasFailed { logger.error("the audit log cannot be written: accesses go on without it") }
        state.hasFailed = true
    }

    /// What stands for a path: nobody without the file system's salt can tell which it is.
    static func pseudonym(_ path: RequestPath, _ key: SecretBytes) -> String {
        let code = path.bytes.withBytes { KeyDerivation.authenticationCode(of: $0, key: key) }
        return String(code.description.prefix(32))
    }

    /// Goes on behind the last whole line; what a crash has cut is left as it is, and counts for nothing.
    private static func resume(_ file: OwnedDescriptor, _ path: String) throws(Failure) -> State {
        var state = State(sequence: 0, head: .zero, sizeBytes: 0)
        let size = try AuditReader.size(of: file, path)
        // Most often the last line is all that is needed; a log that ends in rubbish is read from its start.
        for start in [size > AuditReader.largestLineBytes * 2 ? size - AuditReader.largestLineBytes * 2 : 0, 0] {
            try AuditReader.read(file, from: start, to: size, path) { line in
                guard let known = line.entry else { return true }
                state.sequence = known.seq
                state.head = line.digest
                return true
            }
            if state.sequence > 0 { break }
        }
        var last: UInt8 = 0
        do throws(Errno) {
            if size > 0 {
                _ = try withUnsafeMutableBytes(of: &last) { (buffer) throws(Errno) in try file.read(at: size - 1, into: buffer) }
            }
        } catch { throw Failure(systemCall: "reading the audit log", object: path, error) }
        state.isCut = size > 0 && last != UInt8(ascii: "\n")
        state.sizeBytes = size
        return state
    }

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
