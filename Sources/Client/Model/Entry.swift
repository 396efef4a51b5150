/// What is known of a file, directory or symbolic link on the server.
public struct Entry: Sendable, Hashable {
    public enum Kind: String, Sendable, Codable {
        case file, directory, symlink, other
    }

    /// Any bytes but `/` and NUL.
    public var name: [UInt8]
    public var kind: Kind
    /// Of a file in bytes, of a directory the number of its entries.
    public var size: UInt64
    /// Strong (RFC 9110): another one as soon as anything of the file changes.
    public var etag: String
    /// Seconds since 1970 and nanoseconds.
    public var modified: Int64
    public var modifiedNanoseconds: UInt32
    /// Permission bits.
    public var mode: UInt32
    /// Of a symbolic link.
    public var target: String?
}

/// A part of a directory.
public struct ListingPage: Sendable {
    public var entries: [Entry]
    /// Where the next page begins; nil on the last one.
    public var next: String?
}

/// How much there is, and what this user may.
public struct FileSystemInformation: Sendable, Codable, Hashable {
    public struct Grant: Sendable, Codable, Hashable {
        public var prefix: String
        /// Of `r`, `w`, `l`, `d`.
        public var rights: String
    }

    public var name: String
    public var user: String
    public var grants: [Grant]
    public var quotaBytes: UInt64?
    public var usedBytes: UInt64?
    public var freeBytes: UInt64?
    public var maximumBodyBytes: UInt64?
}

/// What was wiped from the server's decrypted cache.
public struct ClearedCache: Sendable, Codable, Hashable {
    public var pieces: UInt64
    public var bytes: UInt64
}

/// Conditions of a change (RFC 9110, section 13).
public enum WriteCondition: Sendable, Hashable {
    case always
    /// Only if there is nothing yet.
    case ifAbsent
    /// Only if the file is still this one.
    case ifMatches(etag: String)
}

/// What goes with a file's content.
public struct FileAttributes: Sendable, Hashable {
    /// Seconds since 1970; now, if nil.
    public var modified: Int64?
    public var modifiedNanoseconds: UInt32 = 0
    /// Permission bits; those of the replaced file, or 0644, if nil.
    public var mode: UInt32?

    public init(modified: Int64? = nil, modifiedNanoseconds: UInt32 = 0, mode: UInt32? = nil) {
        self.modified = modified
        self.modifiedNanoseconds = modifiedNanoseconds
        self.mode = mode
    }
}
