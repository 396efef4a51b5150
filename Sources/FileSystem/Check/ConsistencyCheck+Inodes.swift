import MetadataStore
import Records
import Syscalls

/// The first pass: each inode with its own records.
extension ConsistencyCheck {
    /// The records that belong to inodes, each kind in order of the inodes.
    private struct Cursors: ~Copyable {
        var extents: RecordCursor
        var inline: RecordCursor
        var xattrs: RecordCursor
        var orphans: RecordCursor
        var entries: RecordCursor

        init(_ metadata: any MetadataStore) throws(Failure) {
            // All of them, before any is a part of this.
            let extents = try RecordCursor(.extent, of: metadata)
            let inline = try RecordCursor(.inline, of: metadata)
            let xattrs = try RecordCursor(.xattr, of: metadata)
            let orphans = try RecordCursor(.orphan, of: metadata)
            let entries = try RecordCursor(.dirent, of: metadata)
            self.extents = extents
            self.inline = inline
            self.xattrs = xattrs
            self.orphans = orphans
            self.entries = entries
        }
    }

    mutating func checkInodes() throws(Failure) {
        var cursors = try Cursors(metadata)
        var inodes = try RecordCursor(.inode, of: metadata)
        while let id = inodes.first {
            var inode: Inode?
            try inodes.take { inode = Inode.decode($0.value) }
            try skipRecordsWithoutInode(before: id, &cursors)
            guard let inode else {
                add(.unreadableRecord, id, "the inode record cannot be read")
                try skip(id, &cursors)
                continue
            }
            note(id, inode)
            let content = try checkExtents(id, inode, &cursors.extents)
            try checkInline(id, inode, extentBytes: content, &cursors.inline)
            try checkXattrs(id, inode, &cursors.xattrs)
            try checkOrphan(id, inode, &cursors.orphans)
            try checkEntryCount(id, inode, &cursors.entries)
        }
        try skipRecordsWithoutInode(before: nil, &cursors)
    }

    private mutating func skip(_ id: UInt64, _ cursors: inout Cursors) throws(Failure) {
        while cursors.extents.first == id { try cursors.extents.take { _ in } }
        while cursors.inline.first == id { try cursors.inline.take { _ in } }
        while cursors.xattrs.first == id { try cursors.xattrs.take { _ in } }
        while cursors.orphans.first == id { try cursors.orphans.take { _ in } }
        while cursors.entries.first == id { try cursors.entries.take { _ in } }
    }

    private mutating func skipRecordsWithoutInode(before id: UInt64?, _ cursors: inout Cursors) throws(Failure) {
        try skip("extents", before: id, &cursors.extents)
        try skip("inline content", before: id, &cursors.inline)
        try skip("extended attributes", before: id, &cursors.xattrs)
        try skip("an orphan record", before: id, &cursors.orphans)
        try skip("entries", before: id, &cursors.entries)
    }

    private mutating func skip(_ what: String, before id: UInt64?, _ cursor: inout RecordCursor) throws(Failure) {
        var reported: UInt64?
        while let first = cursor.first, first < id ?? .max {
            if reported != first { add(.recordsWithoutInode, first, "\(what) of an inode that is not there") }
            reported = first
            try cursor.take { _ in }
        }
    }

    /// Returns the bytes that extents hold.
    private mutating func checkExtents(_ id: UInt64, _ inode: Inode, _ cursor: inout RecordCursor) throws(Failure) -> UInt64 {
        var previousEnd: UInt64 = 0
        var sum: UInt64 = 0
        var isAllowed = inode.isRegular && !inode.flags.contains(.inline)
        while cursor.first == id {
            var extent: Extent?
            try cursor.take { extent = Extent.decode(end: $0.key.second, $0.value) }
            guard let extent else {
                add(.unreadableRecord, id, "an extent record cannot be read")
                continue
            }
            if !isAllowed {
                add(.extent, id, "it has extents, and cannot have any")
                isAllowed = true
            }
            if extent.start < previousEnd { add(.extent, id, "extents overlap at \(extent.start)") }
            if extent.end > inode.size {
                let needed: InodeFlags = extent.chunk == nil ? .extentsPastSize : [.extentsPastSize, .staleTail]
                if !inode.flags.contains(needed) { add(.extent, id, "an extent to \(extent.end) is past the size \(inode.size)") }
            }
            previousEnd = extent.end
            sum &+= extent.length
            if let chunk = extent.chunk { addLiveBytes(chunk.segment, Int64(extent.length)) }
        }
        return sum
    }

    private mutating func checkInline(
        _ id: UInt64, _ inode: Inode, extentBytes: UInt64, _ cursor: inout RecordCursor
    ) throws(Failure) {
        var inlineBytes: UInt64?
        while cursor.first == id { try cursor.take { inlineBytes = UInt64($0.value.count) } }
        if inode.type == .symbolicLink {
            if inlineBytes != inode.size { add(.inlineContent, id, "the target of a symbolic link is missing or of another size") }
            if inode.size == 0 || inode.size > UInt64(FileLimits.maximumTargetBytes) {
                add(.inlineContent, id, "the target of a symbolic link has \(inode.size) bytes")
            }
            return
        }
        if (inlineBytes != nil) != inode.flags.contains(.inline) || (inlineBytes != nil && !inode.isRegular) {
            add(.inlineContent, id, inlineBytes == nil ? "its inline content is missing" : "it has inline content, and cannot have any")
        }
        let allocated = inlineBytes ?? extentBytes
        if allocated != inode.allocatedBytes {
            add(.allocatedBytes, id, "\(allocated) bytes are allocated, where it says \(inode.allocatedBytes)")
        }
        if let inlineBytes, inlineBytes > inode.size || inlineBytes == 0 {
            add(.inlineContent, id, "\(inlineBytes) bytes of inline content in a file of \(inode.size)")
        }
    }

    private mutating func checkXattrs(_ id: UInt64, _ inode: Inode, _ cursor: inout RecordCursor) throws(Failure) {
        var found: InodeFlags = []
        while cursor.first == id { try cursor.take { found.formUnion([.hasXattrs, KnownXattr.flag(of: $0.key.name)]) } }
        let known: InodeFlags = [.hasCapability, .hasAccessACL, .hasDefaultACL]
        // "May have" is no lie where there are none left.
        if !inode.flags.isSuperset(of: found) || inode.flags.intersection(known) != found.intersection(known) {
            add(.extendedAttributes, id, "its extended attributes are others than it says")
        }
    }

    private mutating func checkOrphan(_ id: UInt64, _ inode: Inode, _ cursor: inout RecordCursor) throws(Failure) {
        var isThere = false
        while cursor.first == id {
            isThere = true
            try cursor.take { _ in }
        }
        if isThere != (inode.linkCount == 0) {
            add(.orphan, id, isThere ? "it has a name and an orphan record" : "it has no name and no orphan record")
        }
    }

    private mutating func checkEntryCount(_ id: UInt64, _ inode: Inode, _ cursor: inout RecordCursor) throws(Failure) {
        var entries: UInt64 = 0
        var directories: UInt32 = 0
        while cursor.first == id {
            entries += 1
            try cursor.take { if Dirent.decode($0.value)?.type == .directory { directories += 1 } }
        }
        guard inode.isDirectory else {
            if entries > 0 { add(.entryCount, id, "it is no directory, and has \(entries) entries") }
            return
        }
        if entries != inode.size { add(.entryCount, id, "\(entries) entries, where it says \(inode.size)") }
        if inode.linkCount != (inode.linkCount == 0 ? 0 : 2 + directories) {
            add(.linkCount, id, "a link count of \(inode.linkCount), with \(directories) directories in it")
        }
    }
}
