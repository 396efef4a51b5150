import Glibc
import Sealing
import Syscalls
import SystemPackage

/// The socket between `efs mount` and the process that serves: the password goes down, `ready` or a failure comes back.
/// A password on a socket is seen by nobody else, unlike one in an argument or an environment.
struct Handover {
    let descriptor: Int32

    /// Where the serving process finds its end.
    static let childDescriptor: Int32 = 3
    private static let passwordLimitBytes = 1 << 20

    // MARK: The process that the user started

    func send(_ password: SecretBytes) throws(Failure) {
        var count = UInt32(password.count).littleEndian
        try withUnsafeBytes(of: &count) { (bytes: UnsafeRawBufferPointer) throws(Failure) in try write(bytes) }
        try password.withUnsafeBytes { (bytes) throws(Failure) in try write(bytes) }
    }

    /// Waits for the answer; nil if the process ended without one.
    func receiveAnswer() throws(Failure) -> Answer? {
        var bytes: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        while true {
            let count = try readSome(into: buffer)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return Answer(encoded: bytes)
    }

    // MARK: The process that serves

    func receivePassword() throws(Failure) -> SecretBytes {
        var count: UInt32 = 0
        try withUnsafeMutableBytes(of: &count) { (space: UnsafeMutableRawBufferPointer) throws(Failure) in try readAll(into: space) }
        let size = Int(UInt32(littleEndian: count))
        guard size <= Self.passwordLimitBytes else { throw Failure(.usage, "--handover-fd is for efs itself") }
        return try SecretBytes(count: size) { (space) throws(Failure) in try readAll(into: space) }
    }

    /// Fails if nobody waits for the answer any more.
    func send(_ answer: Answer) throws(Failure) {
        var failure: Failure?
        answer.encoded.withUnsafeBytes { bytes in
            do throws(Failure) { try write(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
        // The end of the answer, although the descriptor may have a copy (`Ending.watch`).
        shutdown(descriptor, Int32(SHUT_WR))
        close(descriptor)
    }

    enum Answer: Equatable {
        /// The mount serves. With `keysMayBeSwapped` the user is to be warned of that.
        case ready(keysMayBeSwapped: Bool)
        case failed(kind: FailureKind, message: String, hint: String?)

        init(_ failure: Failure) { self = .failed(kind: failure.kind, message: failure.description, hint: failure.hint) }

        /// Fields that each end in a zero byte.
        var encoded: [UInt8] {
            switch self {
            case .ready(let keysMayBeSwapped): Array("ready\0\(keysMayBeSwapped)\0".utf8)
            case .failed(let kind, let message, let hint):
                Array("failed\0\(kind.rawValue)\0\(Console.oneLine(message))\0\(Console.oneLine(hint ?? ""))\0".utf8)
            }
        }

        init?(encoded bytes: [UInt8]) {
            let fields = bytes.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
            switch fields.first {
            case "ready" where fields.count == 3:
                guard let keysMayBeSwapped = Bool(fields[1]) else { return nil }
                self = .ready(keysMayBeSwapped: keysMayBeSwapped)
            case "failed" where fields.count == 5:
                guard let kind = FailureKind(rawValue: fields[1]) else { return nil }
                self = .failed(kind: kind, message: fields[2], hint: fields[3].isEmpty ? nil : fields[3])
            default: return nil
            }
        }
    }

    // MARK: Bytes

    private func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure(systemCall: "send", object: "the other efs process", Errno(rawValue: errno)) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    private func readAll(into space: UnsafeMutableRawBufferPointer) throws(Failure) {
        var rest = space
        while !rest.isEmpty {
            let count = try readSome(into: rest)
            guard count > 0 else { throw Failure(.interrupted, "the process that started this one has ended") }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
        }
    }

    private func readSome(into space: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        while true {
            let count = Glibc.read(descriptor, space.baseAddress, space.count)
            if count >= 0 { return count }
            // A reset is how the kernel says that the other side went away with bytes unread.
            if errno == ECONNRESET { return 0 }
            guard errno == EINTR else { throw Failure(systemCall: "read", object: "the other efs process", Errno(rawValue: errno)) }
        }
    }
}
