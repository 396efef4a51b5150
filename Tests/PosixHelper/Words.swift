import Glibc
import SystemPackage

/// The words of a command, taken one after the other. `%XX` in a word is the byte of that number.
struct Words {
    private var rest: ArraySlice<Substring>

    init(_ line: String) { rest = line.split(separator: " ")[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func word() throws(Errno) -> String {
        guard let raw = rest.popFirst() else { throw Errno(rawValue: EPROTO) }
        if !raw.contains("%") { return String(raw) }
        var bytes: [UInt8] = []
        var input = raw.utf8[...]
        while let byte = input.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: input.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                input.removeFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// "-" for nothing at all.
    mutating func text() throws(Errno) -> String {
        let word = try word()
        return word == "-" ? "" : word
    }

    mutating func number() throws(Errno) -> Int {
        guard let value = Int(try word()) else { throw Errno(rawValue: EPROTO) }
        return value
    }

    mutating func octal() throws(Errno) -> UInt32 {
        guard let value = UInt32(try word(), radix: 8) else { throw Errno(rawValue: EPROTO) }
        return value
    }

    mutating func optionalOctal(_ standard: UInt32) throws(Errno) -> UInt32 { isAtEnd ? standard : try octal() }

    /// Names of the table joined by "|", or a number.
    mutating func flags(_ table: [String: CInt]) throws(Errno) -> CInt {
        var sum: CInt = 0
        for part in try word().split(separator: "|") {
            guard let value = table[String(part)] ?? CInt(part) else { throw Errno(rawValue: EPROTO) }
            sum |= value
        }
        return sum
    }

    /// `text`, or pieces `x*4096` (that byte so often; `~` is NUL) joined by "+".
    mutating func data() throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        for piece in try text().split(separator: "+") {
            let parts = piece.split(separator: "*")
            if parts.count == 2, let count = Int(parts[1]), let byte = parts[0].utf8.first {
                bytes += [UInt8](repeating: byte == UInt8(ascii: "~") ? 0 : byte, count: count)
            } else {
                bytes += piece.utf8.map { $0 == UInt8(ascii: "~") ? 0 : $0 }
            }
        }
        return bytes
    }
}

/// The form in which `Words.data` takes bytes: runs of five and more are folded.
func shown(_ bytes: some Collection<UInt8>) -> String {
    func shown(_ byte: UInt8) -> String { byte == 0 ? "~" : byte > 32 && byte < 127 ? String(UnicodeScalar(byte)) : "?" }
    var pieces: [String] = []
    var plain = ""
    var rest = Array(bytes)[...]
    while let byte = rest.first {
        let count = rest.prefix { $0 == byte }.count
        if count < 5 {
            for _ in 0..<count { plain += shown(byte) }
        } else {
            if !plain.isEmpty { pieces.append(plain) }
            plain = ""
            pieces.append("\(shown(byte))*\(count)")
        }
        rest = rest.dropFirst(count)
    }
    if !plain.isEmpty { pieces.append(plain) }
    return pieces.isEmpty ? "-" : pieces.joined(separator: "+")
}

private let errorNames: [CInt: String] = [
    EPERM: "EPERM", ENOENT: "ENOENT", EINTR: "EINTR", EIO: "EIO", ENXIO: "ENXIO", E2BIG: "E2BIG", EBADF: "EBADF", EAGAIN: "EAGAIN",
    EACCES: "EACCES", EBUSY: "EBUSY", EEXIST: "EEXIST", EXDEV: "EXDEV", ENODEV: "ENODEV", ENOTDIR: "ENOTDIR", EISDIR: "EISDIR",
    EINVAL: "EINVAL", ENOTTY: "ENOTTY", ETXTBSY: "ETXTBSY", EFBIG: "EFBIG", ENOSPC: "ENOSPC", ESPIPE: "ESPIPE", EROFS: "EROFS",
    EMLINK: "EMLINK", ERANGE: "ERANGE", EDEADLK: "EDEADLK", ENAMETOOLONG: "ENAMETOOLONG", ENOSYS: "ENOSYS", ENOTEMPTY: "ENOTEMPTY",
    ELOOP: "ELOOP", ENODATA: "ENODATA", EOVERFLOW: "EOVERFLOW", EOPNOTSUPP: "EOPNOTSUPP", ESTALE: "ESTALE", EPROTO: "bad-command",
    ENOMEM: "ENOMEM", EFAULT: "EFAULT", ENOEXEC: "ENOEXEC",
]

func errorName(_ error: Errno) -> String { errorNames[error.rawValue] ?? "errno-\(error.rawValue)" }
