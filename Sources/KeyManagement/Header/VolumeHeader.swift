public import Sealing

/// The file `efs.volume`: how a volume is sealed, and its key, wrapped under each key source. `docs/FORMAT.md` has its bytes.
///
/// A value that never changes: a change of password makes a new header of the next revision. What `parse` returns is
/// well-formed and bounded but not yet believed; `unlock` checks the MAC over all of it before it gives out keys.
public struct VolumeHeader: Sendable {
    /// One layer of sealing.
    public struct Stage: Hashable, Sendable {
        public var suite: CipherSuite
        /// Where its key comes from; 0 is the volume key, others are reserved.
        public var keyPlace: UInt8
    }

    /// A period in which data was sealed with one set of keys.
    public struct KeyEpoch: Hashable, Sendable {
        public var number: UInt32
        /// Bit 0 is the first stage: which of them seal the data of this epoch.
        public var stageMask: UInt8
        /// True for the one that new data is sealed in.
        public var isCurrent: Bool
    }

    /// Features by bit. What to do with one that a version does not know depends on the word it is in.
    public struct Features: Hashable, Sendable {
        /// Unknown ones may be ignored.
        public var compatible: UInt64 = 0
        /// A volume with unknown ones may be read, not written.
        public var readOnlyCompatible: UInt64 = 0
        /// A volume with unknown ones may not be opened.
        public var incompatible: UInt64 = 0
    }

    /// An entry of the tail, kept as it is when the header is written anew.
    struct Extra: Hashable, Sendable {
        var type: UInt16
        var value: [UInt8]
    }

    public static let formatVersion: UInt32 = 1
    /// The name of the file in the data directory.
    public static let fileName = "efs.volume"
    /// A file that is larger is no header.
    public static let largestSizeBytes = 64 << 10
    public static let mostStages = 3
    public static let mostEpochs = 16
    public static let mostSlots = 32

    /// What this version knows, by word. None yet.
    static let known = Features()

    public internal(set) var features = Features()
    /// 16 random bytes.
    public internal(set) var volumeID: [UInt8]
    /// Counts the changes of the header, from 1.
    public internal(set) var revision: UInt64
    public internal(set) var stages: [Stage]
    public internal(set) var epochs: [KeyEpoch]
    public internal(set) var slots: [KeySlot]
    var extras: [Extra] = []
    /// The file's bytes, MAC and checksum included.
    public internal(set) var encoded: [UInt8] = []

    /// The cipher suite of the first stage.
    public var suite: CipherSuite { stages[0].suite }

    /// SHA-256 of the whole file: commits carry it, so that an older header is noticed.
    public var digest: Digest32 { DigestHasher.digest(of: encoded) }

    /// Whether trying a password on every slot costs no more than is allowed.
    var costIsBearable: Bool { slots.reduce(0) { $0 + ($1.cost?.work ?? 0) } <= KeyDerivationCost.largestSum }

    /// True when the volume uses something that this version can read past but not write.
    public var mustBeReadOnly: Bool { features.readOnlyCompatible & ~Self.known.readOnlyCompatible != 0 }

    /// 32 hexadecimal digits.
    public var volumeName: String { Hexadecimal.encode(volumeID) }
}
