public import FileSystem

/// One name of a tree, as an archive holds it: everything but the content of a file.
public struct ArchiveEntry: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// - Parameter dataRanges: what of the content is data, ascending and apart; the rest is holes, which read as zeros. Nil: all of it.
        case regular(sizeBytes: UInt64, dataRanges: [Range<UInt64>]?)
        case directory
        case symbolicLink(target: [UInt8])
        /// Another name of what has been given before as `path`.
        case hardLink(path: [UInt8])
        case characterDevice(major: UInt32, minor: UInt32)
        case blockDevice(major: UInt32, minor: UInt32)
        case fifo
    }

    public struct ExtendedAttribute: Sendable, Equatable {
        public var name: [UInt8]
        public var value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// Names of any bytes, with `/` between them, from the tree's root, which is the empty path.
    public var path: [UInt8]
    public var kind: Kind
    /// 07777.
    public var permissions: UInt32 = 0o644
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var modificationTime: Timestamp?
    public var accessTime: Timestamp?
    public var extendedAttributes: [ExtendedAttribute] = []

    public init(path: [UInt8], kind: Kind) {
        self.path = path
        self.kind = kind
    }

    public var isDirectory: Bool { kind == .directory }

    /// For messages.
    public static func display(_ path: some Sequence<UInt8>) -> String {
        let text = String(decoding: Array(path), as: UTF8.self)
        return text.isEmpty ? "." : text
    }
}
