import Crypto

/// What a derived key is for. The label is part of the derivation, so that no two purposes share a key.
public enum KeyPurpose: String, Sendable {
    case segment
    case table
    case head
    /// The MAC over the header.
    case header
    /// The keyed hash of names in directories.
    case names
}

/// The keys of an open volume, all derived from the volume key with HKDF-SHA256 (RFC 5869):
/// volume key -> stage key -> one key for each blob. One stage so far; `stage` leaves place for three.
public final class KeyHierarchy: Sendable {
    public let suite: CipherSuite
    /// 16 bytes, random, public: in the header.
    public let volumeID: [UInt8]
    private let volumeKey: SecretBytes

    public init(suite: CipherSuite, volumeID: [UInt8], volumeKey: SecretBytes) {
        precondition(volumeID.count == 16 && volumeKey.count == 32)
        self.suite = suite
        self.volumeID = volumeID
        self.volumeKey = volumeKey
    }

    /// The cipher of one blob. `high` and `low` are the blob's random 128-bit name.
    public func cipher(for purpose: KeyPurpose, high: UInt64, low: UInt64) -> BlobCipher {
        BlobCipher(suite: suite, key: key(for: purpose, high: high, low: low))
    }

    /// 32 bytes for `purpose` and a 128-bit name.
    public func key(for purpose: KeyPurpose, high: UInt64 = 0, low: UInt64 = 0) -> SecretBytes {
        var info = Array("efs format 1 stage 1 \(purpose.rawValue)".utf8)
        info += volumeID
        for number in [high, low] { withUnsafeBytes(of: number.littleEndian) { info += $0 } }
        let derived = volumeKey.withUnsafeBytes { key in
            HKDF<SHA256>.deriveKey(inputKeyMaterial: SymmetricKey(data: key), salt: [UInt8](), info: info, outputByteCount: 32)
        }
        return derived.withUnsafeBytes { bytes in SecretBytes(count: 32) { $0.copyMemory(from: bytes) } }
    }
}
