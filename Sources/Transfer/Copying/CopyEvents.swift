public import Syscalls

/// What a copy tells while it runs.
public enum CopyEvent: Sendable {
    /// A file begins; `size` in bytes.
    case began(path: String, size: UInt64)
    /// So many more bytes went through.
    case moved(bytes: UInt64)
    case copied(path: String, size: UInt64)
    /// Was alike already.
    case unchanged(path: String, size: UInt64)
    case removed(path: String)
    /// Left out: a symbolic link, a device.
    case skipped(path: String, reason: String)
    case failed(path: String, Failure)
}

/// How a copy went.
public struct CopySummary: Sendable, Equatable {
    public var copiedFiles = 0
    public var copiedBytes: UInt64 = 0
    public var unchangedFiles = 0
    public var removed = 0
    public var skipped = 0
    public var failed = 0

    public init() {}

    mutating func count(_ event: CopyEvent) {
        switch event {
        case .copied(_, let size):
            copiedFiles += 1
            copiedBytes += size
        case .unchanged: unchangedFiles += 1
        case .removed: removed += 1
        case .skipped: skipped += 1
        case .failed: failed += 1
        case .began, .moved: break
        }
    }
}

extension CopySummary {
    public static func += (sum: inout CopySummary, more: CopySummary) {
        sum.copiedFiles += more.copiedFiles
        sum.copiedBytes += more.copiedBytes
        sum.unchangedFiles += more.unchangedFiles
        sum.removed += more.removed
        sum.skipped += more.skipped
        sum.failed += more.failed
    }
}
