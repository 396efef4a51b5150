/// The kinds of metadata records; the first byte of every key, and so the first order of all records.
/// The numbers are part of the format. A kind that is not known is kept and never interpreted.
public enum RecordKind: UInt8, Sendable, CaseIterable {
    case inode = 1
    case dirent = 2
    case extent = 3
    case inline = 4
    case xattr = 5
    case orphan = 6
    /// Reserved: where a chunk that a snapshot needs was moved to.
    case moved = 7
    /// Reserved: one chunk that several files share.
    case sharedReference = 8
    /// Reserved: a snapshot's name and sequence.
    case snapshot = 9
    /// Reserved: all keys from one to another are gone.
    case rangeDeletion = 10
    /// Counters of the file system (next inode number of a writer, usage).
    case counter = 11
}

/// The key of a record: kind, two numbers and up to 255 bytes of name. Ordered by kind, `first`, `second`, then the
/// bytes of the name, the shorter first. What the numbers mean is the kind's matter (docs/FORMAT.md, "Records").
///
/// `name` is borrowed: it must outlive the call that the key is passed to, and no longer.
public struct RecordKey: @unchecked Sendable {
    // @unchecked: holds a borrowed pointer, valid for the call only, to bytes that nobody changes meanwhile.
    public var kind: UInt8
    public var first: UInt64
    public var second: UInt64
    public var name: UnsafeRawBufferPointer

    /// Bytes of a key without its name in its encoded form.
    public static let fixedSizeBytes = 17
    public static let maximumNameSizeBytes = 255

    @inlinable
    public init(kind: UInt8, first: UInt64, second: UInt64 = 0, name: UnsafeRawBufferPointer = .init(start: nil, count: 0)) {
        self.kind = kind
        self.first = first
        self.second = second
        self.name = name
    }

    @inlinable
    public init(_ kind: RecordKind, _ first: UInt64, _ second: UInt64 = 0, name: UnsafeRawBufferPointer = .init(start: nil, count: 0)) {
        self.init(kind: kind.rawValue, first: first, second: second, name: name)
    }
}

extension RecordKey: Comparable {
    @inlinable
    public static func == (a: RecordKey, b: RecordKey) -> Bool {
        a.kind == b.kind && a.first == b.first && a.second == b.second && compareBytes(a.name, b.name) == 0
    }

    @inlinable
    public static func < (a: RecordKey, b: RecordKey) -> Bool {
        if a.kind != b.kind { return a.kind < b.kind }
        if a.first != b.first { return a.first < b.first }
        if a.second != b.second { return a.second < b.second }
        return compareBytes(a.name, b.name) < 0
    }
}

/// memcmp of the common part, then the shorter first.
@inlinable
public func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let common = min(a.count, b.count)
    if common > 0, let x = a.baseAddress, let y = b.baseAddress {
        for i in 0..<common {
            let p = x.load(fromByteOffset: i, as: UInt8.self)
            let q = y.load(fromByteOffset: i, as: UInt8.self)
            if p != q { return p < q ? -1 : 1 }
        }
    }
    return a.count - b.count
}
