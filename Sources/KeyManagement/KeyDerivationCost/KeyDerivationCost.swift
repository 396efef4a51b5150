/// What one guess of a password costs: Argon2id's parameters. Part of a key slot; one lane, version 1.3.
public struct KeyDerivationCost: Hashable, Sendable {
    public var passes: UInt32
    public var memoryKibibytes: UInt32

    public init(passes: UInt32, memoryKibibytes: UInt32) {
        self.passes = passes
        self.memoryKibibytes = memoryKibibytes
    }

    /// Less than this no header is believed to have been made with: whoever changes it cannot make a guess cheaper than so.
    public static let minimum = KeyDerivationCost(passes: 1, memoryKibibytes: 8 << 10)
    /// More than this no header may ask of the machine that opens it.
    public static let maximum = KeyDerivationCost(passes: 16, memoryKibibytes: 4 << 20)
    /// All password slots of a header together: KiB times passes, as much as one slot of the highest cost. An opening may try each of
    /// them, and nothing of the header is authentic before.
    public static let largestSum = UInt64(maximum.passes) * UInt64(maximum.memoryKibibytes)

    /// KiB times passes: what a derivation costs in time.
    public var work: UInt64 { UInt64(passes) * UInt64(memoryKibibytes) }

    /// For tests and test vectors: a guess costs milliseconds. `efs` never makes a slot with it.
    public static let minimumForTests = minimum

    public var isWithinBounds: Bool {
        (Self.minimum.passes...Self.maximum.passes).contains(passes)
            && (Self.minimum.memoryKibibytes...Self.maximum.memoryKibibytes).contains(memoryKibibytes)
    }
}
