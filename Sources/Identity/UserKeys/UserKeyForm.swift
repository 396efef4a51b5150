import CSodium
import Sealing
import Syscalls

/// The forms in which a user's key may be given, told apart by their first bytes:
/// - an OpenPGP key (RFC 9580), armored or binary, as `gpg --export` and `gpg --export-secret-keys` write it;
/// - OpenSSH's `id_ed25519` and `id_ed25519.pub`;
/// - 32 bytes as they are, or in hexadecimal or base64: the seed of a secret key, or the public key itself.
enum UserKeyForm {
    case openPGP
    case openSSHPrivate
    case openSSHPublic
    case raw32
    case hexadecimal
    case base64
    case unknown

    init(of contents: [UInt8]) { self = contents.withUnsafeBytes { UserKeyForm(of: $0) } }

    init(of contents: UnsafeRawBufferPointer) {
        if contents.count == UserSecretKey.seedSizeBytes {
            self = .raw32
            return
        }
        let text = Self.trimmed(contents)
        if Self.begins(text, with: "-----BEGIN PGP ") {
            self = .openPGP
        } else if Self.begins(text, with: "-----BEGIN OPENSSH PRIVATE KEY-----") {
            self = .openSSHPrivate
        } else if ["ssh-", "ecdsa-", "sk-"].contains(where: { Self.begins(text, with: $0) }) {
            self = .openSSHPublic
        } else if text.count == 64 {
            self = .hexadecimal
        } else if text.count == 43 || text.count == 44 {
            self = .base64
        } else if let first = contents.first, first & 0x80 != 0 {
            // Every OpenPGP packet begins with this bit, and no text in ASCII does.
            self = .openPGP
        } else {
            self = .unknown
        }
    }

    static func unknownFailure(_ name: String) -> Failure {
        Failure(
            .usage, "this is no Ed25519 key in a form that is known", object: name,
            hint: "give an OpenPGP key (gpg --export-secret-keys), an OpenSSH key (ssh-keygen -t ed25519), or 32 bytes, raw, in "
                + "hexadecimal or in base64")
    }

    /// Without white space at both ends.
    static func trimmed(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let isSpace = { (byte: UInt8) in byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
        var slice = text[...]
        while let first = slice.first, isSpace(first) { slice = slice.dropFirst() }
        while let last = slice.last, isSpace(last) { slice = slice.dropLast() }
        return UnsafeRawBufferPointer(rebasing: slice)
    }

    private static func begins(_ text: UnsafeRawBufferPointer, with prefix: String) -> Bool { text.starts(with: prefix.utf8) }
}

/// 32 bytes in hexadecimal or base64, decoded without branches on the digits.
enum RawKeyText {
    static func decode(_ contents: UnsafeRawBufferPointer, named name: String) throws(Failure) -> SecretBytes {
        let text = UserKeyForm.trimmed(contents)
        let size = UserSecretKey.seedSizeBytes
        var decoded = 0
        let bytes = SecretBytes(count: size) { bytes in
            let target = bytes.bytePointer
            let source = UnsafeRawPointer(text.baseAddress!).assumingMemoryBound(to: CChar.self)
            let failed =
                text.count == 64
                ? sodium_hex2bin(target, size, source, text.count, nil, &decoded, nil)
                : sodium_base642bin(
                    target, size, source, text.count, nil, &decoded, nil,
                    text.count == 44 ? sodium_base64_VARIANT_ORIGINAL : sodium_base64_VARIANT_ORIGINAL_NO_PADDING)
            if failed != 0 { decoded = 0 }
        }
        guard decoded == size else { throw UserKeyForm.unknownFailure(name) }
        return bytes
    }
}

/// Base64 (RFC 4648) by libsodium.
enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String {
        let capacity = sodium_base64_encoded_len(bytes.count, sodium_base64_VARIANT_ORIGINAL)
        var text = [CChar](repeating: 0, count: capacity)
        sodium_bin2base64(&text, capacity, bytes, bytes.count, sodium_base64_VARIANT_ORIGINAL)
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Nil unless `text` is base64, with line ends allowed. The result is in guarded memory: it may be a key.
    static func decode(_ text: UnsafeRawBufferPointer) -> SecretBytes? {
        guard let base = text.baseAddress, !text.isEmpty else { return nil }
        var count = 0
        let source = base.assumingMemoryBound(to: CChar.self)
        let room = SecretBytes(count: text.count) { room in
            let failed = sodium_base642bin(
                room.bytePointer, room.count, source, text.count, " \r\n", &count, nil, sodium_base64_VARIANT_ORIGINAL)
            if failed != 0 { count = 0 }
        }
        guard count > 0 else { return nil }
        return room.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
