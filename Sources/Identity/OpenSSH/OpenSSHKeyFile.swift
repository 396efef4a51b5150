import CSSH
import CSodium
import Glibc
import Sealing
import Syscalls

/// OpenSSH's files for Ed25519 keys: the line of `id_ed25519.pub` (RFC 8709) and the private file (PROTOCOL.key of OpenSSH).
/// A protected private file is opened by libssh, which then writes it without protection, into memory; that form is read here,
/// since no library hands the seed out.
enum OpenSSHKeyFile {
    private static let type = "ssh-ed25519"
    private static let begin = "-----BEGIN OPENSSH PRIVATE KEY-----"
    private static let end = "-----END OPENSSH PRIVATE KEY-----"
    private static let magic = Array("openssh-key-v1".utf8) + [0]

    // MARK: Public

    static func publicLine(_ key: [UInt8], comment: String) -> String {
        let blob = string(Array(type.utf8)) + string(key)
        return "\(type) \(Base64.encode(blob))" + (comment.isEmpty ? "" : " \(comment)")
    }

    static func publicKey(inLine contents: [UInt8], named name: String) throws(Failure) -> [UInt8] {
        let words = contents.split(maxSplits: 2) { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        guard words.count >= 2, words[0].elementsEqual(type.utf8) else {
            let found = words.first.map { String(decoding: $0.prefix(32), as: UTF8.self) } ?? ""
            throw otherType(found, name)
        }
        let blob = words[1].withUnsafeBytes { Base64.decode($0) }
        guard let blob else { throw damaged(name) }
        let key: [UInt8]? = blob.withUnsafeBytes { bytes in
            var reader = Reader(bytes)
            return reader.publicKey()
        }
        guard let key else { throw damaged(name) }
        return key
    }

    // MARK: Private

    static func secretSeed(_ contents: SecretBytes, named name: String, passphrase: PassphraseProvider) throws(Failure) -> SecretBytes {
        guard let blob = contents.withUnsafeBytes({ unarmored($0) }) else { throw damaged(name) }
        switch blob.withUnsafeBytes({ parse($0) }) {
        case .seed(let seed): return seed
        case .otherType(let type): throw otherType(type, name)
        case .damaged: throw damaged(name)
        case .protected:
            let open = try unprotected(contents, passphrase: try passphrase("the OpenSSH key \(name)"), named: name)
            guard let blob = open.withUnsafeBytes({ unarmored($0) }) else { throw damaged(name) }
            switch blob.withUnsafeBytes({ parse($0) }) {
            case .seed(let seed): return seed
            case .otherType(let type): throw otherType(type, name)
            case .damaged, .protected: throw damaged(name)
            }
        }
    }

    /// The same file without protection, by libssh.
    private static func unprotected(_ contents: SecretBytes, passphrase: SecretBytes, named name: String) throws(Failure) -> SecretBytes {
        var key: ssh_key?
        let opened = contents.withNulTerminated { text in
            passphrase.withNulTerminated { ssh_pki_import_privkey_base64(text, $0, nil, nil, &key) }
        }
        guard opened == SSH_OK, let key else {
            throw Failure(
                .wrongPassword, "this passphrase does not open the OpenSSH key", object: name,
                hint: "if 'ssh-keygen -y -f FILE' takes it, give the key another cipher: ssh-keygen -p -Z aes256-ctr -f FILE")
        }
        defer { ssh_key_free(key) }
        var text: UnsafeMutablePointer<CChar>?
        guard ssh_pki_export_privkey_base64(key, nil, nil, nil, &text) == SSH_OK, let text else { throw damaged(name) }
        let bytes = UnsafeMutableRawBufferPointer(start: text, count: strlen(text))
        defer {
            wipe(bytes)
            ssh_string_free_char(text)
        }
        return SecretBytes(copying: UnsafeRawBufferPointer(bytes))
    }

    /// What stands between the armor lines, decoded.
    private static func unarmored(_ contents: UnsafeRawBufferPointer) -> SecretBytes? {
        let text = UserKeyForm.trimmed(contents)
        guard text.starts(with: begin.utf8), text.count > begin.utf8.count + end.utf8.count,
            text.suffix(end.utf8.count).elementsEqual(end.utf8)
        else { return nil }
        let middle = text[begin.utf8.count..<(text.count - end.utf8.count)]
        return Base64.decode(UserKeyForm.trimmed(UnsafeRawBufferPointer(rebasing: middle)))
    }

    private enum Parsed {
        case seed(SecretBytes)
        case protected
        case otherType(String)
        case damaged
    }

    private static func parse(_ blob: UnsafeRawBufferPointer) -> Parsed {
        guard blob.starts(with: magic) else { return .damaged }
        var outer = Reader(UnsafeRawBufferPointer(rebasing: blob[magic.count...]))
        guard let cipher = outer.string(), let function = outer.string(), let _ = outer.string(), let keys = outer.number(),
            keys == 1, let publicBlob = outer.string(), let privateBlob = outer.string()
        else { return .damaged }
        var publicReader = Reader(publicBlob)
        guard let foundType = publicReader.string() else { return .damaged }
        guard foundType.elementsEqual(type.utf8) else { return .otherType(String(decoding: foundType.prefix(32), as: UTF8.self)) }
        guard cipher.elementsEqual("none".utf8), function.elementsEqual("none".utf8) else { return .protected }

        var inner = Reader(privateBlob)
        // Two equal random numbers tell a right passphrase from a wrong one; here both are in the clear.
        guard let check = inner.number(), check == inner.number(), inner.string()?.elementsEqual(type.utf8) == true,
            let publicKey = inner.string(), let secret = inner.string(), secret.count == 64,
            publicReader.string()?.elementsEqual(publicKey) == true
        else { return .damaged }
        let seed = SecretBytes(copying: UnsafeRawBufferPointer(rebasing: secret[..<UserSecretKey.seedSizeBytes]))
        guard UserSecretKey(seed: seed)?.publicKey.rawBytes.elementsEqual(publicKey) == true else { return .damaged }
        return .seed(seed)
    }

    // MARK: Messages

    private static func damaged(_ name: String) -> Failure {
        Failure(.damaged, "this OpenSSH key is cut or damaged", object: name)
    }

    private static func otherType(_ type: String, _ name: String) -> Failure {
        Failure(
            .usage, "this OpenSSH key is of another type (\(type)) than ssh-ed25519", object: name, hint: "ssh-keygen -t ed25519 makes one")
    }

    private static func string(_ bytes: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
    }
}

extension OpenSSHKeyFile {
    /// Length-prefixed strings (RFC 4251, section 5). Every length is checked against what is there before it is used.
    private struct Reader {
        private var rest: UnsafeRawBufferPointer

        init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

        mutating func number() -> UInt32? {
            guard rest.count >= 4 else { return nil }
            let value = UInt32(bigEndian: rest.loadUnaligned(as: UInt32.self))
            rest = UnsafeRawBufferPointer(rebasing: rest[4...])
            return value
        }

        mutating func string() -> UnsafeRawBufferPointer? {
            guard let length = number(), Int(length) <= rest.count else { return nil }
            let value = UnsafeRawBufferPointer(rebasing: rest[..<Int(length)])
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(length)...])
            return value
        }

        /// Type and key of a public blob, which must end there.
        mutating func publicKey() -> [UInt8]? {
            guard string()?.elementsEqual(OpenSSHKeyFile.type.utf8) == true, let key = string(),
                key.count == UserPublicKey.sizeBytes, rest.isEmpty
            else { return nil }
            return Array(key)
        }
    }
}
