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
        do { return try JSONDecoder().decode(type, from: Data(json)) } catch {
            throw Failure(.damaged, "is not a record of this version", object: path)
        }
    }

    func writeRecord(_ record: some Encodable, _ path: String, place: String) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json: [UInt8]
        do { json = Array(try encoder.encode(record)) } catch { throw Failure(.inputOutput, "a record cannot be encoded", object: path) }
        try ServerFiles.replace(path, with: json + Array("\n\(code(json, place))\n".utf8))
    }

    private func code(_ json: [UInt8], _ place: String) -> Digest32 {
        (Array(place.utf8) + [0] + json).withBytes { KeyDerivation.authenticationCode(of: $0, key: recordsKey) }
    }
}
