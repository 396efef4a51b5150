import Crypto
import NIOCore

/// The checksum of a part of an upload (tus, extension *checksum*).
struct UploadChecksum: Sendable {
    private var sha256: SHA256?
    private var sha512: SHA512?
    private let expected: [UInt8]

    /// Of a header's value: algorithm and base64.
    init(_ value: String) throws(Problem) {
        let parts = value.split(separator: " ").map(String.init)
        guard parts.count == 2, let expected = Base64.decode(parts[1]) else { throw .badRequest("Upload-Checksum is malformed") }
        self.expected = expected
        switch parts[0] {
        case "sha256": sha256 = SHA256()
        case "sha512": sha512 = SHA512()
        default: throw .badRequest("checksums are sha256 or sha512")
        }
    }

    mutating func update(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { bytes in
            sha256?.update(bufferPointer: bytes)
            sha512?.update(bufferPointer: bytes)
        }
    }

    var fits: Bool {
        if let sha256 { return Array(sha256.finalize()) == expected }
        if let sha512 { return Array(sha512.finalize()) == expected }
        return false
    }
}
