/// The AEADs that a volume can be sealed with; chosen when it is made. The numbers are part of the format.
/// All have 32-byte keys, 12-byte nonces and 16-byte tags.
public enum CipherSuite: UInt8, Sendable, CaseIterable {
    /// AES-256 in Galois/Counter Mode, NIST SP 800-38D. The default: fastest where the processor has AES instructions.
    case aes256Gcm = 1
    /// ChaCha20-Poly1305, RFC 8439: fast and constant-time without AES instructions.
    case chaCha20Poly1305 = 2
    /// AES-256-GCM-SIV, RFC 8452: a nonce used twice shows only whether two texts are equal.
    case aes256GcmSiv = 3

    public static let keySizeBytes = 32
    public static let nonceSizeBytes = 12
    public static let tagSizeBytes = 16

    /// The name on the command line and in `efs info`.
    public var name: String {
        switch self {
        case .aes256Gcm: "Aes256Gcm"
        case .chaCha20Poly1305: "ChaCha20Poly1305"
        case .aes256GcmSiv: "Aes256GcmSiv"
        }
    }

    /// The suite of that name, upper and lower case alike.
    public init?(name: String) {
        guard let suite = Self.allCases.first(where: { $0.name.lowercased() == name.lowercased() }) else { return nil }
        self = suite
    }
}
