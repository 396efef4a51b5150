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
        var from = max(cookie, 2)
        while true {
            let isWhole = try collectEntries(id, after: from, scratch)
            var reader = EntryReader(scratch.bytes.readable, after: from)
            while let entry = reader.next() {
                if try !show(entry, withAttributes: withAttributes, retaining: retaining, body) { return }
                from = entry.cookie
            }
            if isWhole { return }
        }
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

    /// Copies entries whose hash is after `from` into the scratch, whole groups of equal hash only.
    /// - Returns: whether those were all.
    private func collectEntries(_ id: UInt64, after from: UInt64, _ scratch: Scratch) throws(Errno) -> Bool {
        scratch.bytes.reset()
        var count = 0
        var previous: UInt64 = 0
        var isWhole = true
        var isDamaged = false
        try scan(from: RecordKey(.dirent, id, from + 1), to: Keys.after(.dirent, id)) { record in
            if count >= Self.listingStep, record.key.second != previous {
                isWhole = false
                return .stop
            }
            guard let dirent = Dirent.decode(record.value) else {
                isDamaged = true
                return .stop
            }
            previous = record.key.second
            count += 1
            EntryReader.write(record.key, dirent, into: &scratch.bytes)
            return .next
        }
        if isDamaged { throw damaged("a directory entry cannot be read", id) }
        return isWhole
    }
}

/// Reads the entries of a listing back from the form that they were copied to: hash, inode, type, name.
private struct EntryReader {
    private var reader: ByteReader
    /// Where a listing goes on that ends before the current group of equal hash.
    private var cookieBeforeGroup: UInt64
    private var previousHash: UInt64

    init(_ bytes: UnsafeRawBufferPointer, after cookie: UInt64) {
        reader = ByteReader(bytes)
        cookieBeforeGroup = cookie
        previousHash = cookie
    }

    static func write(_ key: RecordKey, _ dirent: Dirent, into writer: inout ByteWriter) {
        writer.append(key.second)
        writer.append(dirent.inode)
        writer.append(dirent.type.rawValue)
        writer.append(UInt8(key.name.count))
        writer.append(key.name)
    }

    /// An entry that is not the last of its hash has the cookie before all of that hash: a listing that is cut there shows
    /// some of them again, and leaves none out.
    mutating func next() -> DirectoryEntry? {
        guard let hash = reader.readUInt64(), let inode = reader.readUInt64(),
            let type = reader.readUInt8().flatMap(InodeType.init(rawValue:)),
            let nameCount = reader.readUInt8(), let name = reader.readBytes(Int(nameCount))
        else { return nil }
        if hash != previousHash { cookieBeforeGroup = previousHash }
        previousHash = hash
        var ahead = reader
        let isLastOfGroup = ahead.readUInt64() != hash
        return DirectoryEntry(
            name: name, inode: InodeID(inode), type: type, cookie: isLastOfGroup ? hash : cookieBeforeGroup, attributes: nil)
    }
}
