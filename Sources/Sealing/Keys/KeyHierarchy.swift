/// What a derived key is for. The label is part of the derivation, so that no two purposes share a key.
public enum KeyPurpose: String, Sendable, CaseIterable {
    case segment
    case table
    case head
    /// The MAC over the header.
    case header
    /// The keyed hash of names in directories.
    case names
}

/// The keys of an open volume, all derived from the volume key with HKDF-SHA256 (RFC 5869):
/// volume key -> stage key -> one key for each blob. One stage so far; `stage` leaves place for three. Thread-safe.
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
        KeyDerivation.withDerivedKey(from: volumeKey, salt: [], info: info(purpose, high, low)) { BlobCipher(suite: suite, key: $0) }
    }

    /// 32 bytes for `purpose` and a 128-bit name.
    public func key(for purpose: KeyPurpose, high: UInt64 = 0, low: UInt64 = 0) -> SecretBytes {
        KeyDerivation.derive(from: volumeKey, salt: [], info: info(purpose, high, low))
    }

    /// Lends the volume key to `body`, which wraps it for a key slot.
    package func withVolumeKey<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try volumeKey.withUnsafeBytes(body)
    }

    private func info(_ purpose: KeyPurpose, _ high: UInt64, _ low: UInt64) -> [UInt8] {
        var info = Array("efs format 1 stage 1 \(purpose.rawValue)".utf8)
        info += volumeID
        for number in [high, low] { withUnsafeBytes(of: number.littleEndian) { info += $0 } }
        return info
    }
}
