import MetadataStore
import Records
public import SystemPackage

extension FileSystem {
    /// Entries that are read with one look at the store.
    private static let listingStep = 128

    /// Shows the entries after `cookie` (0: from the start), "." and ".." first, until `body` says false (that entry was not
    /// taken). Stable: an entry that is there all the time is shown once, whatever is made or removed meanwhile.
    /// - Parameter retaining: adds one to the lookup count of each inode that was taken, but "." and "..". Needs `withAttributes`.
    public func listDirectory(
        _ directory: InodeID, after cookie: UInt64, withAttributes: Bool, retaining: Bool, _ body: (DirectoryEntry) -> Bool
    ) throws(Errno) {
        let id = directory.rawValue
        let found = try withInode(id) { (_, found) throws(Errno) in found }
        try requireLiveDirectory(found)
        if cookie == 0 { noteAccess(id, found) }
        if cookie < 1, !Self.showDot(".", id, 1, body) { return }
        if cookie < 2, !Self.showDot("..", found.parent, 2, body) { return }
        let scratch = scratches.take()
        defer { scratches.give(scratch) }
        var start: OwnedRecordKey? = try place(after: cookie, id)
        while let from = start {
            start = try collectEntries(id, from: from, scratch)
            var reader = EntryReader(scratch.bytes.readable, nextHash: start?.second)
            while let entry = reader.next() {
                if try !show(entry, withAttributes: withAttributes, retaining: retaining, body) { return }
            }
        }
    }

    /// The place of the first entry behind the one with that cookie.
    private func place(after cookie: UInt64, _ id: UInt64) throws(Errno) -> OwnedRecordKey {
        guard let group = GroupCookie(cookie) else { return Self.place(id, max(cookie, 2) + 1) }
        // Where the entry has gone meanwhile, its neighbours are shown again rather than left out.
        var start = Self.place(id, group.hashes.lowerBound)
        var isFound = false
        try scan(
            from: RecordKey(.dirent, id, group.hashes.lowerBound), to: RecordKey(.dirent, id, group.hashes.upperBound)
        ) { record in
            if isFound {
                start = OwnedRecordKey(record.key)
                return .stop
            }
            isFound = group.isOf(record.key.name)
            if isFound { start = Self.place(id, group.hashes.upperBound) }
            return .next
        }
        return start
    }

    private static func place(_ id: UInt64, _ hash: UInt64) -> OwnedRecordKey {
        OwnedRecordKey(kind: RecordKind.dirent.rawValue, first: id, second: hash)
    }

    private static func showDot(_ name: StaticString, _ id: UInt64, _ cookie: UInt64, _ body: (DirectoryEntry) -> Bool) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return body(DirectoryEntry(name: bytes, inode: InodeID(id), type: .directory, cookie: cookie, attributes: nil))
    }

    private func show(
        _ entry: DirectoryEntry, withAttributes: Bool, retaining: Bool, _ body: (DirectoryEntry) -> Bool
    ) throws(Errno) -> Bool {
        guard withAttributes else { return body(entry) }
        // Gone since the entry was read: not shown.
        guard let attributes = try found(entry.inode.rawValue, retaining: retaining) else { return true }
        var full = entry
        full.attributes = attributes
        if body(full) { return true }
        if retaining { forget(entry.inode, count: 1) }
        return false
    }

    /// Copies some entries from `start` on into the scratch.
    /// - Returns: where the next one is; nil if those were all.
    private func collectEntries(_ id: UInt64, from start: OwnedRecordKey, _ scratch: Scratch) throws(Errno) -> OwnedRecordKey? {
        scratch.bytes.reset()
        var count = 0
        var next: OwnedRecordKey?
        var isDamaged = false
        try start.withKey { (lower) throws(Errno) in
            try scan(from: lower, to: Keys.after(.dirent, id)) { record in
                if count >= Self.listingStep {
                    next = OwnedRecordKey(record.key)
                    return .stop
                }
                guard let dirent = Dirent.decode(record.value) else {
                    isDamaged = true
                    return .stop
                }
                count += 1
                EntryReader.write(record.key, dirent, into: &scratch.bytes)
                return .next
            }
        }
        if isDamaged { throw damaged("a directory entry cannot be read", id) }
        return next
    }
}

/// The cookie of an entry that others of the same hash follow, so that a listing can be cut there: the upper 32 bits of its 63-bit hash
/// and 31 bits that tell it from the others. The top bit marks it; an entry that is the last of its hash has the plain hash.
struct GroupCookie {
    private static let mark = UInt64(1) << 63
    private static let lowBits = 31
    private static let lowMask = (UInt64(1) << lowBits) - 1

    let rawValue: UInt64

    /// Nil for the cookie of another entry.
    init?(_ cookie: UInt64) {
        if cookie & Self.mark == 0 { return nil }
        rawValue = cookie
    }

    init(hash: UInt64, name: UnsafeRawBufferPointer) {
        rawValue = Self.mark | hash & ~Self.lowMask | Self.digest(name)
    }

    /// Hashes that begin as the entry's does.
    var hashes: Range<UInt64> {
        let first = rawValue & ~Self.mark & ~Self.lowMask
        return first..<first + Self.lowMask + 1
    }

    func isOf(_ name: UnsafeRawBufferPointer) -> Bool { Self.digest(name) == rawValue & Self.lowMask }

    /// FNV-1a, folded: names of one hash are few, and whoever sees the cookie sees the name.
    private static func digest(_ name: UnsafeRawBufferPointer) -> UInt64 {
        let full = name.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return (full ^ full >> 32) & lowMask
    }
}

/// Reads the entries of a listing back from the form that they were copied to: hash, inode, type, name.
private struct EntryReader {
    private var reader: ByteReader
    /// Of the entry that follows all of these, if there is one.
    private let nextHash: UInt64?

    init(_ bytes: UnsafeRawBufferPointer, nextHash: UInt64?) {
        reader = ByteReader(bytes)
        self.nextHash = nextHash
    }

    static func write(_ key: RecordKey, _ dirent: Dirent, into writer: inout ByteWriter) {
        writer.append(key.second)
        writer.append(dirent.inode)
        writer.append(dirent.type.rawValue)
        writer.append(UInt8(key.name.count))
        writer.append(key.name)
    }

    mutating func next() -> DirectoryEntry? {
        guard let hash = reader.readUInt64(), let inode = reader.readUInt64(),
            let type = reader.readUInt8().flatMap(InodeType.init(rawValue:)),
            let nameCount = reader.readUInt8(), let name = reader.readBytes(Int(nameCount))
        else { return nil }
        var ahead = reader
        let isLastOfGroup = (ahead.readUInt64() ?? nextHash) != hash
        let cookie = isLastOfGroup ? hash : GroupCookie(hash: hash, name: name).rawValue
        return DirectoryEntry(name: name, inode: InodeID(inode), type: type, cookie: cookie, attributes: nil)
    }
}
