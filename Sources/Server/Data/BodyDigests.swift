import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import RawStructuredFieldValues

/// Digests that a request states of its content (RFC 9530), checked as the content arrives.
struct BodyDigests {
    private var sha256: SHA256?
    private var sha512: SHA512?
    private var expected256: [[UInt8]] = []
    private var expected512: [[UInt8]] = []

    var isEmpty: Bool { sha256 == nil && sha512 == nil }

    /// Of a whole representation both fields speak of the same bytes.
    init(_ headers: HTTPFields, _ names: [HTTPField.Name] = [.contentDigest, .reprDigest]) throws(Problem) {
        for name in names {
            guard let value = headers[name] else { continue }
            try add(value, name)
        }
        if !expected256.isEmpty { sha256 = SHA256() }
        if !expected512.isEmpty { sha512 = SHA512() }
    }

    private mutating func add(_ value: String, _ name: HTTPField.Name) throws(Problem) {
        do {
            var parser = StructuredFieldValueParser(Array(value.utf8))
            for (algorithm, member) in try parser.parseDictionaryFieldValue() {
                guard case .item(let item) = member, case .undecodedByteSequence(let text) = item.rfc9651BareItem,
                    let digest = Data(base64Encoded: text).map(Array.init)
                else { throw Problem.badRequest("\(name.rawName) is malformed") }
                switch algorithm {
                case "sha-256": expected256.append(digest)
                case "sha-512": expected512.append(digest)
                default: break
                }
            }
        } catch { throw .badRequest("\(name.rawName) is malformed") }
    }

    /// Whether the request wants a SHA-256 of the representation (`Want-Repr-Digest`).
    static func wantsSHA256(_ headers: HTTPFields) -> Bool {
        guard let value = headers[.wantReprDigest] else { return false }
        var parser = StructuredFieldValueParser(Array(value.utf8))
        guard let wishes = try? parser.parseDictionaryFieldValue() else { return false }
        return wishes.contains { (algorithm, member) in
            guard algorithm == "sha-256", case .item(let item) = member, case .integer(let weight) = item.rfc9651BareItem else {
                return false
            }
            return weight > 0
        }
    }

    mutating func update(_ bytes: ByteBuffer) {
        guard !isEmpty else { return }
        bytes.withUnsafeReadableBytes { bytes in
            sha256?.update(bufferPointer: bytes)
            sha512?.update(bufferPointer: bytes)
        }
    }

    /// Fails with `digest-mismatch`.
    func check() throws(Problem) {
        let fits256 = sha256.map { hash in
            let digest = Array(hash.finalize())
            return expected256.allSatisfy { $0 == digest }
        }
        let fits512 = sha512.map { hash in
            let digest = Array(hash.finalize())
            return expected512.allSatisfy { $0 == digest }
        }
        guard fits256 != false, fits512 != false else {
            throw Problem(.badRequest, "digest-mismatch", "the content is not the one that its digest was made of")
        }
    }
}
