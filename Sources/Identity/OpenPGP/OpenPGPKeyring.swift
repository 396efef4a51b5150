import CRnp
import CSodium
import Glibc
import Sealing
import Syscalls

/// OpenPGP keys in memory, read by librnp. Nothing is kept on disk, and no other key ring is looked at. One thread at a time.
final class OpenPGPKeyring {
    private let ffi: rnp_ffi_t
    private let name: String

    /// The longest list of keys that is looked through.
    private static let mostKeys = 256

    convenience init(_ contents: [UInt8], named name: String) throws(Failure) {
        try self.init(copying: contents.withUnsafeBytes { SecretBytes(copying: $0) }, named: name)
    }

    convenience init(_ contents: UnsafeRawBufferPointer, named name: String) throws(Failure) {
        try self.init(copying: SecretBytes(copying: contents), named: name)
    }

    private init(copying contents: SecretBytes, named name: String) throws(Failure) {
        ffi = try Self.makeFFI()
        self.name = name
        var input: rnp_input_t?
        let flags = UInt32(RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SECRET_KEYS | RNP_LOAD_SAVE_PERMISSIVE)
        let result = contents.withUnsafeBytes { bytes in
            let made = rnp_input_from_memory(&input, bytes.bytePointer, bytes.count, false)
            defer { rnp_input_destroy(input) }
            return made == RNP_SUCCESS ? rnp_import_keys(ffi, input, flags, nil) : made
        }
        guard result == RNP_SUCCESS else {
            throw Failure(
                .usage, "this is no OpenPGP key", object: name, hint: "gpg --export-secret-keys NAME writes one, gpg --export the public")
        }
    }

    /// An empty ring.
    init() throws(Failure) {
        ffi = try Self.makeFFI()
        name = "a new OpenPGP key"
    }

    deinit { rnp_ffi_destroy(ffi) }

    private static func makeFFI() throws(Failure) -> rnp_ffi_t {
        var ffi: rnp_ffi_t?
        guard rnp_ffi_create(&ffi, "GPG", "GPG") == RNP_SUCCESS, let ffi else {
            throw Failure(.inputOutput, "librnp cannot start")
        }
        // Librnp reports what it cannot read on standard error; our own message says it once.
        rnp_ffi_set_log_fd(ffi, open("/dev/null", O_WRONLY | O_CLOEXEC))
        return ffi
    }

    /// The 32 bytes of the signing key: the primary key if it is Ed25519 and may sign, else the first such subkey.
    func publicKey() throws(Failure) -> [UInt8] {
        let candidates = try signingKeys(secret: false)
        guard let key = candidates.first else { throw noKey("no Ed25519 key that may sign") }
        return try point(of: key)
    }

    /// The seed of the signing key. A subkey serves where the primary secret key was left out of the file.
    func secretSeed(passphrase: PassphraseProvider) throws(Failure) -> SecretBytes {
        let candidates = try signingKeys(secret: true)
        guard let key = candidates.first else { throw noKey("no secret Ed25519 key that may sign") }
        var isProtected = false
        rnp_key_is_protected(key.handle, &isProtected)
        if isProtected { try unlock(key, passphrase: passphrase) }
        let seed = try secretNumber(of: key)
        guard let check = UserSecretKey(seed: seed), check.publicKey.rawBytes == (try point(of: key)) else {
            throw Failure(.damaged, "the secret key does not belong to its public key", object: name)
        }
        return seed
    }

    /// Makes an Ed25519 key for signing without an end of validity; both parts armored.
    func generate(userID: String, passphrase: SecretBytes?) throws(Failure) -> (public: String, secret: SecretBytes) {
        var operation: rnp_op_generate_t?
        guard rnp_op_generate_create(&operation, ffi, "EDDSA") == RNP_SUCCESS else {
            throw Failure(.inputOutput, "librnp cannot make an Ed25519 key")
        }
        defer { rnp_op_generate_destroy(operation) }
        rnp_op_generate_set_userid(operation, userID)
        rnp_op_generate_set_expiration(operation, 0)
        if let passphrase {
            passphrase.withNulTerminated { _ = rnp_op_generate_set_protection_password(operation, $0) }
        }
        var handle: rnp_key_handle_t?
        guard rnp_op_generate_execute(operation) == RNP_SUCCESS, rnp_op_generate_get_key(operation, &handle) == RNP_SUCCESS,
            let handle
        else { throw Failure(.usage, "librnp cannot make a key for this name", object: userID) }
        let key = Key(handle)
        let secret = try export(key, UInt32(RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_SECRET))
        let open = try export(key, UInt32(RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_PUBLIC))
        return (open.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }, secret)
    }

    private func export(_ key: Key, _ flags: UInt32) throws(Failure) -> SecretBytes {
        var output: rnp_output_t?
        rnp_output_to_memory(&output, KeyFile.largestSizeBytes)
        defer { rnp_output_destroy(output) }
        var buffer: UnsafeMutablePointer<UInt8>?
        var count = 0
        guard rnp_key_export(key.handle, output, flags) == RNP_SUCCESS,
            rnp_output_memory_get_buf(output, &buffer, &count, false) == RNP_SUCCESS, let buffer
        else { throw Failure(.inputOutput, "librnp cannot write a key", object: name) }
        let bytes = UnsafeMutableRawBufferPointer(start: buffer, count: count)
        defer { wipe(bytes) }
        return SecretBytes(copying: UnsafeRawBufferPointer(bytes))
    }
}

extension OpenPGPKeyring {
    /// A key's handle, given back to librnp at the end.
    private final class Key {
        let handle: rnp_key_handle_t
        init(_ handle: rnp_key_handle_t) { self.handle = handle }
        deinit { rnp_key_handle_destroy(handle) }

        func flag(_ read: (rnp_key_handle_t, UnsafeMutablePointer<Bool>) -> rnp_result_t) -> Bool {
            var value = false
            return read(handle, &value) == RNP_SUCCESS && value
        }

        var isEd25519: Bool {
            var curve: UnsafeMutablePointer<CChar>?
            guard rnp_key_get_curve(handle, &curve) == RNP_SUCCESS, let curve else { return false }
            defer { rnp_buffer_destroy(curve) }
            return strcmp(curve, "Ed25519") == 0
        }
    }

    private func noKey(_ what: String) -> Failure {
        Failure(
            .usage, "\(what) is in this OpenPGP file, or it is revoked or expired", object: name,
            hint: "gpg --quick-generate-key NAME ed25519 makes one")
    }

    /// Ed25519 keys that may sign now, primary keys first.
    private func signingKeys(secret: Bool) throws(Failure) -> [Key] {
        var iterator: rnp_identifier_iterator_t?
        guard rnp_identifier_iterator_create(ffi, &iterator, "fingerprint") == RNP_SUCCESS else {
            throw Failure(.inputOutput, "librnp cannot list the keys", object: name)
        }
        defer { rnp_identifier_iterator_destroy(iterator) }
        var primary: [Key] = []
        var subkeys: [Key] = []
        for _ in 0..<Self.mostKeys {
            var identifier: UnsafePointer<CChar>?
            guard rnp_identifier_iterator_next(iterator, &identifier) == RNP_SUCCESS, let identifier else { break }
            var handle: rnp_key_handle_t?
            guard rnp_locate_key(ffi, "fingerprint", identifier, &handle) == RNP_SUCCESS, let handle else { continue }
            let key = Key(handle)
            guard key.isEd25519, key.flag({ rnp_key_allows_usage($0, "sign", $1) }), !key.flag({ rnp_key_is_revoked($0, $1) }),
                !key.flag({ rnp_key_is_expired($0, $1) })
            else { continue }
            if secret, !key.flag({ rnp_key_have_secret($0, $1) }) || isOnlyStub(key) { continue }
            if key.flag({ rnp_key_is_primary($0, $1) }) { primary.append(key) } else { subkeys.append(key) }
        }
        return primary + subkeys
    }

    /// `gpg --export-secret-subkeys` leaves a stub in place of the primary secret key; a smart card leaves one too.
    private func isOnlyStub(_ key: Key) -> Bool {
        var type: UnsafeMutablePointer<CChar>?
        guard rnp_key_get_protection_type(key.handle, &type) == RNP_SUCCESS, let type else { return false }
        defer { rnp_buffer_destroy(type) }
        return strncmp(type, "GPG-None", 8) == 0 || strncmp(type, "GPG-Smartcard", 13) == 0
    }

    private func unlock(_ key: Key, passphrase: PassphraseProvider) throws(Failure) {
        let result = try passphrase("the OpenPGP key \(name)").withNulTerminated { rnp_key_unlock(key.handle, $0) }
        guard result == RNP_SUCCESS else {
            throw Failure(.wrongPassword, "this passphrase does not open the OpenPGP key", object: name)
        }
    }

    private func point(of key: Key) throws(Failure) -> [UInt8] {
        let digits = try number("point", of: key, flags: UInt32(RNP_JSON_PUBLIC_MPIS))
        let bytes = digits.withUnsafeBytes { Array($0) }
        // 0x40 says that the point is in its native form (RFC 9580, 11.2.2).
        guard bytes.count == 33, bytes[0] == 0x40 else { throw noKey("no Ed25519 key in the usual form") }
        return Array(bytes[1...])
    }

    /// The seed is written as a number, so its leading zeros are missing.
    private func secretNumber(of key: Key) throws(Failure) -> SecretBytes {
        let number = try number("x", of: key, flags: UInt32(RNP_JSON_SECRET_MPIS))
        let size = UserSecretKey.seedSizeBytes
        guard number.count <= size else { throw noKey("no secret Ed25519 key in the usual form") }
        return SecretBytes(count: size) { seed in
            number.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: seed[(size - $0.count)...]).copyMemory(from: $0) }
        }
    }

    /// A number of the key. Librnp hands numbers out only within a JSON text; it is searched in place, so that a secret one is
    /// copied nowhere else, and wiped. A wrong find cannot go unnoticed: the caller checks the seed against the public key.
    private func number(_ name: String, of key: Key, flags: UInt32) throws(Failure) -> SecretBytes {
        var text: UnsafeMutablePointer<CChar>?
        guard rnp_key_to_json(key.handle, flags, &text) == RNP_SUCCESS, let text else {
            throw Failure(.inputOutput, "librnp cannot show the key", object: self.name)
        }
        let length = strlen(text)
        defer {
            wipe(UnsafeMutableRawBufferPointer(start: text, count: length))
            rnp_buffer_destroy(text)
        }
        let label = "\"\(name)\":\""
        guard let found = strstr(text, label) else { throw noKey("no Ed25519 key with its numbers") }
        let digits = found + label.utf8.count
        let count = strspn(digits, "0123456789abcdefABCDEF")
        var decoded = 0
        guard count > 0, count <= 2 * 33, count % 2 == 0 else { throw noKey("no Ed25519 key in the usual form") }
        return SecretBytes(count: count / 2) { sodium_hex2bin($0.bytePointer, $0.count, digits, count, nil, &decoded, nil) }
    }
}

extension SecretBytes {
    /// The bytes with a NUL behind them, as C functions take passphrases.
    func withNulTerminated<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        let terminated = SecretBytes(count: count + 1) { target in
            withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[..<count]).copyMemory(from: $0) }
        }
        return terminated.withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
    }
}
