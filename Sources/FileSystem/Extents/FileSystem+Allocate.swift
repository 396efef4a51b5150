import ChunkStore
import Records
public import SystemPackage

extension FileSystem {
    /// fallocate(2).
    public func allocate(_ inode: InodeID, offset: UInt64, length: UInt64, mode: AllocationMode) throws(Errno) {
        try requireWritable()
        guard length > 0 else { throw .invalidArgument }
        guard offset <= FileLimits.maximumSizeBytes, length <= FileLimits.maximumSizeBytes - offset else { throw .fileTooLarge }
        let id = inode.rawValue
        let range = offset..<offset + length
        try withInode(id) { (stripe, found) throws(Errno) in
            if found.isDirectory { throw .isDirectory }
            guard found.isRegular else { throw .operationNotSupportedByDevice }
            var inode = found
            stripe.batch.reset()
            let past = Self.keepsSize(mode) ? inode.size : max(inode.size, range.upperBound)
            // A stale tail may hold data where room is to be reserved, or where the file grows to.
            if range.upperBound > inode.size, inode.flags.contains(.staleTail) {
                try removeStaleTail(id, &inode, stripe)
                stripe.batch.reset()
            }
            if inode.flags.contains(.inline) { try endInline(id, &inode, writtenTo: 0..<0, stripe) }
            switch mode {
            case .allocate: try reserveHoles(id, &inode, range, stripe)
            case .punchHole: try clear(id, &inode, range, reserving: false, stripe)
            case .zeroRange: try clear(id, &inode, range, reserving: true, stripe)
            }
            inode.size = past
            inode.touchContent(environment.now())
            dropCapability(id, &inode, stripe.batch)
            try commit(id, inode, stripe)
        }
    }

    private static func keepsSize(_ mode: AllocationMode) -> Bool {
        switch mode {
        case .allocate(let keepSize), .zeroRange(let keepSize): keepSize
        case .punchHole: true
        }
    }

    /// Applies all but the last batch, which it leaves to the caller.
    private func clear(_ id: UInt64, _ inode: inout Inode, _ range: Range<UInt64>, reserving: Bool, _ stripe: Stripe) throws(Errno) {
        if reserving, range.upperBound > inode.size { inode.flags.insert(.extentsPastSize) }
        var from = range.lowerBound
        while true {
            let new = reserving ? Extent(start: from, length: range.upperBound - from) : nil
            from = try editExtents(id, &inode, from: from, to: range.upperBound, new: new, stripe)
            if from >= range.upperBound { return }
            try commit(id, inode, stripe)
            stripe.batch.reset()
        }
    }

    /// Puts reserved extents where there are none. Applies all but the last batch, which it leaves to the caller.
    private func reserveHoles(_ id: UInt64, _ inode: inout Inode, _ range: Range<UInt64>, _ stripe: Stripe) throws(Errno) {
        var from = range.lowerBound
        while true {
            let isWhole = try collectExtents(id, inode, from: from, to: range.upperBound, stripe)
            if range.upperBound > inode.size { inode.flags.insert(.extentsPastSize) }
            let end = isWhole ? range.upperBound : min(stripe.extents.last?.end ?? range.upperBound, range.upperBound)
            for extent in stripe.extents {
                if extent.start > from { reserve(id, &inode, from, extent.start, stripe) }
                from = max(from, min(extent.end, end))
            }
            if from < end { reserve(id, &inode, from, end, stripe) }
            from = end
            if isWhole { return }
            try commit(id, inode, stripe)
            stripe.batch.reset()
        }
    }

    private func reserve(_ id: UInt64, _ inode: inout Inode, _ from: UInt64, _ to: UInt64, _ stripe: Stripe) {
        let extent = Extent(start: from, length: to - from)
        put(id, extent, stripe.batch)
        inode.allocatedBytes += extent.length
    }
}

// MARK: Copies inside the volume
extension FileSystem {
    /// Copies inside the volume; returns the number of bytes, fewer at the end of the source. EINVAL if ranges of one file overlap.
    /// Holes stay holes only where the target has none; bytes are copied, since a chunk belongs to one file.
    public func copyRange(
        from source: InodeID, at sourceOffset: UInt64, to target: InodeID, at targetOffset: UInt64, length: UInt64,
        clearsSetIDs: Bool = false
    ) throws(Errno) -> UInt64 {
        try requireWritable()
        let limit = FileLimits.maximumSizeBytes
        guard sourceOffset <= limit, length <= limit - sourceOffset, targetOffset <= limit else { throw .invalidArgument }
        guard length <= limit - targetOffset else { throw .fileTooLarge }
        try requireRegular(try withInode(target.rawValue) { (_, found) throws(Errno) in found })
        let from = try withInode(source.rawValue) { (_, found) throws(Errno) in found }
        try requireRegular(from)
        // Ranges overlap only with what the source really has.
        let length = min(length, from.size - min(sourceOffset, from.size))
        if source == target, sourceOffset < targetOffset + length, targetOffset < sourceOffset + length { throw .invalidArgument }
        if length == 0 { return 0 }
        let stepBytes = min(length, UInt64(ChunkLocation.maximumSizeBytes))
        let step = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(stepBytes), alignment: 16)
        defer { step.deallocate() }
        var copied: UInt64 = 0
        while copied < length {
            let wanted = Int(min(stepBytes, length - copied))
            let buffer = UnsafeMutableRawBufferPointer(rebasing: step[..<wanted])
            let count = try read(source, at: sourceOffset + copied, into: buffer)
            if count == 0 { break }
            let run = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            try write(target, at: targetOffset + copied, from: run, clearsSetIDs: clearsSetIDs)
            copied += UInt64(count)
            if count < wanted { break }
        }
        return copied
    }
}
