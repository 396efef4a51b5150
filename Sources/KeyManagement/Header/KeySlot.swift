import Sealing

/// The volume key, wrapped under one key source. `docs/FORMAT.md` has its bytes.
public struct KeySlot: Hashable, Sendable {
    /// Where the wrapping key comes from. Other numbers are reserved for key files, tokens, recovery keys …
    public static let passwordSource: UInt8 = 1

    /// Unique in a header, never 0.
    public internal(set) var id: UInt32
    /// `passwordSource`, or one that this version does not know.
    public internal(set) var source: UInt8
    var content: Content

    enum Content: Hashable, Sendable {
        case password(PasswordSlot)
        /// A slot of an unknown source: kept as it is.
        case opaque([UInt8])
    }

    /// What a guess costs, for a password.
    public var cost: KeyDerivationCost? {
        if case .password(let slot) = content { slot.cost } else { nil }
    }

    /// The name that the user gave it; empty for none.
    public var label: String {
        if case .password(let slot) = content { slot.label } else { "" }
    }
}

/// The content of a slot that a password opens.
struct PasswordSlot: Hashable, Sendable {
    static let keyDerivation: UInt8 = 1  // Argon2id, version 1.3, one lane
    static let wrappedKeySizeBytes = 32 + CipherSuite.tagSizeBytes
    static let largestLabelSizeBytes = 255

    var cost: KeyDerivationCost
    /// 16 bytes, random, new at each wrapping.
    var salt: [UInt8]
    /// Derived from the password like the wrapping key and checked first. No AEAD commits to its key, so without it a slot could
    /// be made that two passwords open, each to another key.
    var commitment: Digest32
    /// The volume key and its tag.
    var wrappedKey: [UInt8]
    var label: String
    var extras: [VolumeHeader.Extra] = []
}
