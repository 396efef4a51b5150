import Glibc

/// What `efs cp` is to do.
public struct CopyOptions: Sendable {
    public var isRecursive = false
    /// The target's content becomes the source's: what is alike is left, what the source lacks is removed.
    public var isSync = false
    /// With `isSync`: nothing is removed.
    public var keepsExtra = false
    /// Nothing is changed; what would be done is told.
    public var isDryRun = false
    /// Files are alike if their contents are (SHA-256), not by size and time.
    public var comparesContents = false
    public var filter = PathFilter()
    /// Bytes each second, both ways together; nil for no limit.
    public var bandwidthBytes: UInt64?
    /// Files that are copied at a time.
    public var parallelCount = 4

    public init() {}
}

/// Which files take part, by shell patterns (fnmatch(3)). A pattern without a slash is for the last name, one with a slash for
/// the whole path below the source.
public struct PathFilter: Sendable {
    public var includes: [String] = []
    public var excludes: [String] = []

    public init() {}

    /// Excluding wins; with patterns to include, a file must match one. A directory is left out only by excluding.
    public func takes(_ path: String, isDirectory: Bool) -> Bool {
        if excludes.contains(where: { Self.matches($0, path) }) { return false }
        return isDirectory || includes.isEmpty || includes.contains { Self.matches($0, path) }
    }

    private static func matches(_ pattern: String, _ path: String) -> Bool {
        if pattern.dropLast().contains("/") {
            let anchored = pattern.hasPrefix("/") ? String(pattern.dropFirst()) : pattern
            return fnmatch(anchored, path, 0) == 0
        }
        let bare = pattern.hasSuffix("/") ? String(pattern.dropLast()) : pattern
        return fnmatch(bare, String(path.split(separator: "/").last ?? ""), 0) == 0
    }
}

/// `10M`, `1.5G`, `800k`: a number of bytes, by powers of 1024.
public func parseQuantity(_ text: String) -> UInt64? {
    guard let last = text.last else { return nil }
    let powers: [Character: Double] = ["k": 1024, "m": 1_048_576, "g": 1_073_741_824, "t": 1_099_511_627_776]
    let factor = powers[Character(last.lowercased())]
    guard let number = Double(factor == nil ? text : String(text.dropLast())), number > 0, number.isFinite else { return nil }
    let bytes = number * (factor ?? 1)
    return bytes >= 1 && bytes < 1e18 ? UInt64(bytes) : nil
}
