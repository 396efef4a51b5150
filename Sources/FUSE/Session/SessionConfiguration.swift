/// What a session asks the kernel for, and how it waits for requests.
public struct SessionConfiguration: Sendable {
    /// Asked for; what the kernel does not offer is left out.
    public var flags: InitFlags = .standard
    /// Largest WRITE and READ, in bytes. A whole number of pages, at most 1 MiB (`fs.fuse.max_pages_limit`).
    public var maxTransferBytes = 1 << 20
    /// Largest readahead that is asked for in INIT. The kernel caps it at 128 KiB; see `ReadAhead` for more.
    public var maxReadaheadBytes: UInt32 = 1 << 20
    /// Background requests (readahead, writeback, release) at one time.
    public var maxBackground: UInt16 = 64
    /// Background requests from which on the kernel calls the mount congested.
    public var congestionThreshold: UInt16 = 48
    /// Nanoseconds between two times that a file can tell apart.
    public var timeGranularityNanoseconds: UInt32 = 1
    public var transport = TransportChoice.auto
    public var classic = ClassicTransportConfiguration()
    public var uring = URingTransportConfiguration()

    public init() {}
}

extension InitFlags {
    /// For a file system whose mount is the only way its files change (or that sends notifications).
    ///
    /// Without `posixLocks` and `flockLocks` the kernel does both kinds of lock itself. `atomicTruncate` is left out,
    /// since with no-open the truncation would be lost. `autoInvalidateData` is left out and `explicitInvalidateData` taken,
    /// so that a changed mtime drops no cached data.
    public static let standard: InitFlags = [
        .asyncRead, .exportSupport, .bigWrites, .readdirplus, .asyncDirectIO, .writebackCache, .noOpenSupport,
        .parallelDirectoryOperations, .maxPages, .cacheSymlinks, .noOpendirSupport, .explicitInvalidateData,
        .handleKillPrivilegesV2, .setxattrExtended, .initExtended, .directIOAllowMmap,
    ]
}

/// What kernel and server agreed on.
public struct Connection: Sendable {
    /// The kernel's protocol version; the major one is 7.
    public var minor: UInt32
    /// What the kernel offered.
    public var offered: InitFlags
    public var flags: InitFlags
    public var maxTransferBytes: Int
    public var maxReadaheadBytes: UInt32
}
