import FoundationEssentials
import Sealing
import Syscalls

/// Reads and writes what the starter key protects: sealed secrets and authenticated records. Thread-safe.
final class Keyring: Sendable {
    private let starterKey: SecretBytes
    private let recordsKey: SecretBytes

    init(starterKey: SecretBytes) {
        self.starterKey = starterKey
        recordsKey = KeyDerivation.derive(from: starterKey, salt: [], info: Array("efs server 1 records".utf8))
    }

    /// Names the starter key without telling anything of it.
    var identifier: String { StarterKey.identifier(of: starterKey) }

    // MARK: Secrets

    /// Fails with `.missing`, `.wrongPassword`, `.damaged`.
    func readSecret(_ path: String, place: String) throws(Failure) -> SecretBytes {
        guard let file = try ServerFiles.read(path) else {
            throw Failure(.missing, "there is no such key", object: path, hint: "restore it from a backup")
        }
        return try SealedFile.open(file, under: starterKey, place: place, object: path)
    }

    func writeSecret(_ secret: SecretBytes, _ path: String, place: String) throws(Failure) {
        try ServerFiles.replace(path, with: SealedFile.seal(secret, under: starterKey, place: place))
    }

    // MARK: Records

    /// A JSON line and its MAC; nil if there is no such file.
    func readRecord<T: Decodable>(_ type: T.Type, _ path: String, place: String) throws(Failure) -> T? {
        guard let json = try readJSON(path, place: place) else { return nil }
        do { return try JSONDecoder().decode(type, from: Data(json)) } catch {
            throw Failure(.damaged, "is not a record of this version", object: path)
        }
    }

    /// The JSON line, whatever it says, if its MAC fits.
    private func readJSON(_ path: String, place: String) throws(Failure) -> [UInt8]? {
        guard let file = try ServerFiles.read(path) else { return nil }
        let lines = file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let damaged = Failure(
            .damaged, "was changed by someone who does not hold the starter key, or is damaged", object: path,
            hint: "restore it from a backup")
        guard lines.count == 3, lines[2].isEmpty, let stored = Hexadecimal.decode(String(decoding: lines[1], as: UTF8.self)) else {
            throw damaged
        }
        let json = Array(lines[0])
        let fits = code(json, place).withUnsafeBytes { mine in stored.withBytes { constantTimeEquals(mine, $0) } }
        guard fits else { throw damaged }
        return json
    }

    func writeRecord(_ record: some Encodable, _ path: String, place: String) throws(Failure) {
        try ServerFiles.replace(path, with: encode(record, path, place: place))
    }

    /// The content of the record's file.
    func encode(_ record: some Encodable, _ path: String, place: String) throws(Failure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json: [UInt8]
        do { json = Array(try encoder.encode(record)) } catch { throw Failure(.inputOutput, "a record cannot be encoded", object: path) }
        return encoded(json, place)
    }

    private func encoded(_ json: [UInt8], _ place: String) -> [UInt8] { json + Array("\n\(code(json, place))\n".utf8) }

    // MARK: Another starter key

    /// The content that the file of a secret or a record has under another keyring. Fails if it does not open under this one.
    func resealed(_ path: String, place: String, isSecret: Bool, under new: Keyring) throws(Failure) -> [UInt8] {
        if isSecret { return SealedFile.seal(try readSecret(path, place: place), under: new.starterKey, place: place) }
        guard let json = try readJSON(path, place: place) else { throw Failure(.missing, "is not there", object: path) }
        return new.encoded(json, place)
    }

    private func code(_ json: [UInt8], _ place: String) -> Digest32 {
        (Array(place.utf8) + [0] + json).withBytes { KeyDerivation.authenticationCode(of: $0, key: recordsKey) }
    }
}
