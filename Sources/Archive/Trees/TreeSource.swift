import Glibc
public import Syscalls

/// A tree that an archive is made of: a directory, a volume, or what a server has. Used by one thread at a time.
///
/// A directory comes before what is in it. What has several names comes first as itself, then as `.hardLink`. What the tree's
/// exclusions name is left out with all that is below it.
public protocol TreeSource: AnyObject {
    /// The next entry, the root (whose path is empty) first; nil at the end. Fails for what cannot be read, and says which.
    func next() throws(Failure) -> ArchiveEntry?

    /// Content of the regular file that `next` gave last. Fewer bytes than asked for only at its end.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
}

/// What is left out of an archive: shell patterns (fnmatch(3)), each for a name anywhere in the tree, or, if it has a slash, for
/// a path from the tree's root.
public struct TreeExclusions: Sendable {
    private let patterns: [String]

    public init(_ patterns: [String] = []) {
        self.patterns = patterns.map { $0.hasPrefix("/") || $0.hasPrefix("./") ? "/" + $0.drop { $0 == "." || $0 == "/" } : $0 }
    }

    /// Whether the path, from the tree's root, is left out.
    public func contain(_ path: [UInt8]) -> Bool {
        if patterns.isEmpty { return false }
        let name = path.split(separator: UInt8(ascii: "/")).last.map { Array($0) } ?? []
        return patterns.contains { pattern in
            pattern.contains("/") ? matches(pattern.first == "/" ? String(pattern.dropFirst()) : pattern, path) : matches(pattern, name)
        }
    }

    private func matches(_ pattern: String, _ path: [UInt8]) -> Bool {
        (path + [0]).withUnsafeBytes { fnmatch(pattern, $0.assumingMemoryBound(to: CChar.self).baseAddress!, 0) == 0 }
    }
}
