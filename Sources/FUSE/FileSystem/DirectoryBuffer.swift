/// Takes the entries of a READDIR or READDIRPLUS until it is full, straight in the reply. Used in one call only.
public struct DirectoryBuffer: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    /// Bytes of the reply so far.
    public private(set) var count = 0
    /// Number of entries so far.
    public private(set) var entryCount = 0

    package init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    public var remaining: Int { memory.count - count }

    /// Adds a name. `nextOffset` is what a listing that goes on after this name is asked for. `mode`'s type bits are used.
    /// False if there is no room; nothing was added then.
    public mutating func append(inode: UInt64, nextOffset: UInt64, mode: UInt32, name: UnsafeRawBufferPointer) -> Bool {
        appendDirent(at: count, inode: inode, nextOffset: nextOffset, mode: mode, name: name)
    }

    /// Adds a name with its entry (READDIRPLUS): it counts as a lookup, unless the entry's node is 0 (use that for
    /// "." and ".."). False if there is no room; nothing was added then, and nothing counts.
    public mutating func append(_ entry: Entry, inode: UInt64, nextOffset: UInt64, mode: UInt32, name: UnsafeRawBufferPointer) -> Bool {
        let at = count
        let head = MemoryLayout<EntryOut>.size
        guard remaining >= head,
            appendDirent(at: at + head, inode: inode, nextOffset: nextOffset, mode: mode, name: name)
        else { return false }
        memory.baseAddress!.storeBytes(of: EntryOut(entry), toByteOffset: at, as: EntryOut.self)
        return true
    }

    private mutating func appendDirent(
        at: Int, inode: UInt64, nextOffset: UInt64, mode: UInt32, name: UnsafeRawBufferPointer
    ) -> Bool {
        let head = MemoryLayout<DirentOut>.size
        let padded = (head + name.count + 7) & ~7
        guard memory.count - at >= padded, let base = memory.baseAddress else { return false }
        let type = (mode >> 12) & 15
        base.storeBytes(
            of: DirentOut(inode: inode, nextOffset: nextOffset, nameLength: UInt32(name.count), type: type), toByteOffset: at,
            as: DirentOut.self)
        if let source = name.baseAddress { (base + at + head).copyMemory(from: source, byteCount: name.count) }
        for offset in at + head + name.count..<at + padded { base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
        count = at + padded
        entryCount += 1
        return true
    }
}
