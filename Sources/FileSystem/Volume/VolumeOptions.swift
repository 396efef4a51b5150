/// How a volume is opened.
public struct VolumeOptions: Sendable {
    /// Nothing at all is written, neither to the volume nor to the state of this machine.
    public var isReadOnly = false
    public var accessTimes = AccessTimePolicy()
    /// Opens a volume that is older than what this machine last saw, or has another history, and takes it as the new truth.
    public var acceptsRollback = false
    /// The volume must be at this generation or a later one. For a machine that has not seen it yet.
    public var expectedGeneration: UInt64?
    /// Memory for decrypted metadata.
    public var cacheBytes = 48 << 20
    /// Where this machine keeps what it saw last; nil for the standard place.
    public var stateDirectory: String?
    /// Told the generation that this machine remembers from then on, by the thread that wrote it down.
    package var didRemember: @Sendable (UInt64) -> Void = { _ in }
    /// Counts what files take, for quotas. Nil: nobody does.
    package var usageObserver: (any UsageObserver)?
    /// Told, in one line, of what fails in the background or shows to a program as an error number only.
    public var report: @Sendable (String) -> Void = { _ in }

    public init() {}
}
