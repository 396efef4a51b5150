import FoundationEssentials
import Glibc
import KeyManagement
package import Sealing
package import Syscalls

/// The key that opens all others, kept outside of the server's root: 32 bytes.
package enum StarterKey {
    package static let sizeBytes = 32
    package static let environmentVariable = "EFS_STARTER_KEY"
    package static let credentialName = "efs-starter-key"

    /// Reads the text form: 64 hexadecimal digits, or base64 of 32 bytes with either alphabet.
    package static func parse(_ text: SecretBytes, source: String) throws(Failure) -> SecretBytes {
        let key: [UInt8]? = text.withUnsafeBytes { bytes in
            let characters = String(decoding: bytes, as: UTF8.self)
            if characters.utf8.count == 64, let key = Hexadecimal.decode(characters) { return key }
            let standard = String(characters.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }.filter { $0 != "=" })
            guard standard.utf8.count == 43 else { return nil }
            return Data(base64Encoded: standard + "=").map(Array.init)
        }
        guard var key, key.count == sizeBytes else {
            throw Failure(
                .usage, "is not a starter key: 64 hexadecimal digits or base64 of 32 bytes are one", object: source,
                hint: "make one with: efs-server make-starter-key FILE")
        }
        defer { key.withMutableBytes { wipe($0) } }
        return key.withBytes { SecretBytes(copying: $0) }
    }

    /// 16 hexadecimal digits that name the key and tell nothing of it.
    package static func identifier(of key: SecretBytes) -> String {
        let name = KeyDerivation.derive(from: key, salt: [], info: Array("efs server 1 identifier".utf8))
        return name.withUnsafeBytes { Hexadecimal.encode(Array($0.prefix(8))) }
    }

    /// The first line of a file.
    package static func fromFile(_ path: String) throws(Failure) -> SecretBytes {
        try parse(try Password.fromFile(path), source: path)
    }

    package static func fromDescriptor(_ descriptor: Int32) throws(Failure) -> SecretBytes {
        try parse(try Password.fromDescriptor(descriptor), source: "file descriptor \(descriptor)")
    }

    /// The value of `EFS_STARTER_KEY`, which is taken out of the environment. While the process has one thread.
    package static func fromEnvironment() throws(Failure) -> SecretBytes? {
        guard let value = getenv(environmentVariable) else { return nil }
        let bytes = UnsafeMutableRawBufferPointer(start: value, count: strlen(value))
        defer {
            wipe(bytes)
            unsetenv(environmentVariable)
        }
        return try parse(SecretBytes(copying: UnsafeRawBufferPointer(bytes)), source: environmentVariable)
    }

    /// What systemd's LoadCredential= put there; nil if it did not.
    package static func fromCredentials() throws(Failure) -> SecretBytes? {
        guard let directory = getenv("CREDENTIALS_DIRECTORY") else { return nil }
        let path = String(cString: directory) + "/" + credentialName
        guard ServerFiles.exists(path) else { return nil }
        return try fromFile(path)
    }

    /// Writes a new random key to a new file, mode 0600.
    package static func make(at path: String) throws(Failure) {
        guard !ServerFiles.exists(path) else {
            throw Failure(.alreadyExists, "is there already", object: path, hint: "a starter key is never overwritten")
        }
        var text = SecretBytes.random(count: sizeBytes).withUnsafeBytes { Array((Base64URL.encode($0) + "\n").utf8) }
        defer { text.withMutableBytes { wipe($0) } }
        try ServerFiles.replace(path, with: text)
    }
}
