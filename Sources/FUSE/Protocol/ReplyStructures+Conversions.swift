extension AttributesOut {
    init(_ attributes: Attributes) {
        self.init(
            inode: attributes.inode, size: attributes.sizeBytes, blocks: attributes.blocks,
            atime: UInt64(bitPattern: attributes.atime.seconds), mtime: UInt64(bitPattern: attributes.mtime.seconds),
            ctime: UInt64(bitPattern: attributes.ctime.seconds), atimeNanoseconds: attributes.atime.nanoseconds,
            mtimeNanoseconds: attributes.mtime.nanoseconds, ctimeNanoseconds: attributes.ctime.nanoseconds, mode: attributes.mode,
            linkCount: attributes.linkCount, uid: attributes.uid, gid: attributes.gid, rdev: attributes.rdev,
            blockSize: attributes.blockSizeBytes, flags: 0)
    }
}

extension EntryOut {
    init(_ entry: Entry) {
        self.init(
            node: entry.node.rawValue, generation: entry.generation, entryValid: entry.entryValidity.seconds,
            attributesValid: entry.attributesValidity.seconds, entryValidNanoseconds: entry.entryValidity.nanoseconds,
            attributesValidNanoseconds: entry.attributesValidity.nanoseconds, attributes: AttributesOut(entry.attributes))
    }
}

extension AttrOut {
    init(_ reply: AttributesReply) {
        self.init(
            attributesValid: reply.validity.seconds, attributesValidNanoseconds: reply.validity.nanoseconds,
            attributes: AttributesOut(reply.attributes))
    }
}

extension OpenOut {
    init(_ reply: OpenReply) { self.init(handle: reply.handle, openFlags: reply.flags.rawValue) }
}

extension StatfsOut {
    init(_ statistics: Statistics) {
        self.init(
            blocks: statistics.blocks, freeBlocks: statistics.freeBlocks, availableBlocks: statistics.availableBlocks,
            files: statistics.files, freeFiles: statistics.freeFiles, blockSize: statistics.blockSizeBytes,
            nameLength: statistics.nameLengthBytes, fragmentSize: statistics.fragmentSizeBytes)
    }
}

extension StatxTime {
    init(_ time: FileTime) { self.init(seconds: time.seconds, nanoseconds: time.nanoseconds) }
}

extension StatxOut {
    /// STATX_BASIC_STATS and STATX_BTIME.
    private static let basicMask: UInt32 = 0x7ff
    private static let birthTimeMask: UInt32 = 0x800

    init(_ reply: StatxReply) {
        let attributes = reply.attributes
        self.init(
            attributesValid: reply.validity.seconds, attributesValidNanoseconds: reply.validity.nanoseconds,
            mask: Self.basicMask | (reply.birthTime == nil ? 0 : Self.birthTimeMask), blockSize: attributes.blockSizeBytes,
            attributes: reply.flags, linkCount: attributes.linkCount, uid: attributes.uid, gid: attributes.gid,
            mode: UInt16(truncatingIfNeeded: attributes.mode), inode: attributes.inode, size: attributes.sizeBytes,
            blocks: attributes.blocks, attributesMask: reply.supportedFlags, atime: StatxTime(attributes.atime),
            btime: StatxTime(reply.birthTime ?? FileTime(seconds: 0)), ctime: StatxTime(attributes.ctime),
            mtime: StatxTime(attributes.mtime), rdevMajor: (attributes.rdev >> 8) & 0xfff,
            rdevMinor: (attributes.rdev & 0xff) | ((attributes.rdev >> 12) & 0xfff00))
    }
}
