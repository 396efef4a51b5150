import Sealing
import Syscalls

/// The header of an age file (https://c2sp.org/age): the file's key, sealed once for each recipient, and a code over all of it.
struct AgeHeader {
    /// One sealing of the file's key. The meaning of arguments and body is the first argument's.
    struct Stanza {
        var arguments: [String]
        var body: [UInt8]

        var type: String { arguments[0] }
    }

    static let versionLine = "age-encryption.org/v1"
    static let fileKeySizeBytes = 16
    /// More than anybody writes, and little to read through.
    static let sizeLimitBytes = 64 << 10
    private static let columns = 64

    var stanzas: [Stanza]
    /// What the code is computed over.
    private var authenticated: [UInt8]
    private var code: [UInt8] = []

    // MARK: Writing

    init(stanzas: [Stanza]) {
        self.stanzas = stanzas
        authenticated = Array("\(Self.versionLine)\n".utf8)
        for stanza in stanzas {
            authenticated += Array("-> \(stanza.arguments.joined(separator: " "))\n".utf8)
            var text = AgeBase64.encode(stanza.body)[...]
            // The last line is shorter than a full one, and be it empty.
            while text.count >= Self.columns {
                authenticated += text.prefix(Self.columns) + [0x0A]
                text = text.dropFirst(Self.columns)
            }
            authenticated += text + [0x0A]
        }
        authenticated += Array("---".utf8)
    }

    func encoded(fileKey: SecretBytes) -> [UInt8] {
        let code = Self.code(of: authenticated, fileKey: fileKey)
        return authenticated + [0x20] + AgeBase64.encode(code) + [0x0A]
    }

    // MARK: Reading

    /// Reads the header, and nothing behind it. Fails with `.damaged`, `.newerFormat`.
    init(reading input: BufferedSource) throws(Failure) {
        stanzas = []
        authenticated = []
        let first = try line(of: input)
        guard first.elementsEqual(Self.versionLine.utf8) else {
            guard first.starts(with: "age-encryption.org/".utf8) else { throw Failure(.damaged, "this is no age file") }
            throw Failure(.newerFormat, "the archive is of another version of the age format than v1")
        }
        while true {
            let line = try line(of: input)
            if line.starts(with: "-> ".utf8) {
                let body = try body(of: input)
                stanzas.append(Stanza(arguments: try Self.arguments(line.dropFirst(3)), body: body))
                continue
            }
            guard line.starts(with: "--- ".utf8), !stanzas.isEmpty, let code = AgeBase64.decode(line.dropFirst(4)), code.count == 32
            else { throw Self.malformed }
            self.code = code
            // The code covers its own mark, but not what follows it.
            authenticated.removeLast(line.count + 1 - 3)
            return
        }
    }

    /// Throws if the code does not fit: someone changed the header.
    func verify(fileKey: SecretBytes) throws(Failure) {
        let expected = Self.code(of: authenticated, fileKey: fileKey)
        guard expected.withBytes({ expected in code.withBytes { constantTimeEquals(expected, $0) } }) else {
            throw Failure(.damaged, "the archive's header is damaged: its authentication code does not fit")
        }
    }

    private mutating func line(of input: BufferedSource) throws(Failure) -> [UInt8] {
        let limit = Self.sizeLimitBytes - authenticated.count - 1
        guard limit > 0, let line = try input.readLine(limit: limit) else { throw Self.malformed }
        authenticated += line + [0x0A]
        return line
    }

    private mutating func body(of input: BufferedSource) throws(Failure) -> [UInt8] {
        var body: [UInt8] = []
        while true {
            let line = try line(of: input)
            guard line.count <= Self.columns, let bytes = AgeBase64.decode(line) else { throw Self.malformed }
            body += bytes
            if line.count < Self.columns { return body }
        }
    }

    /// Words of visible characters, with one space between each two.
    private static func arguments(_ line: ArraySlice<UInt8>) throws(Failure) -> [String] {
        let words = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0 > 0x20 && $0 < 0x7F } }) else { throw malformed }
        return words.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func code(of bytes: [UInt8], fileKey: SecretBytes) -> [UInt8] {
        let key = KeyDerivation.derive(from: fileKey, salt: [], info: Array("header".utf8))
        let digest = bytes.withBytes { KeyDerivation.authenticationCode(of: $0, key: key) }
        return digest.withUnsafeBytes { [UInt8]($0) }
    }

    private static var malformed: Failure { Failure(.damaged, "the archive's header is damaged") }
}
