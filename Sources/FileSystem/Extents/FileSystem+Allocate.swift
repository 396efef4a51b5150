import ChunkStore
import Records
import Syscalls
public import SystemPackage

extension FileSystem {
    /// fallocate(2). Where there are more extents than one batch may touch, it is several: EINTR between them if `isInterrupted`
    /// says so, with the front of the range done. ENOSPC for more room than there is.
    public func allocate(
        _ inode: InodeID, offset: UInt64, length: UInt64, mode: AllocationMode, isInterrupted: () -> Bool = { false }
    ) throws(Errno) {
        try requireWritable()
        guard length > 0 else { throw .invalidArgument }
        guard offset <= FileLimits.maximumSizeBytes, length <= FileLimits.maximumSizeBytes - offset else { throw .fileTooLarge }
        let id = inode.rawValue
        let end = offset + length
        let found = try withInode(id) { (_, found) throws(Errno) in found }
        if found.isDirectory { throw .isDirectory }
        guard found.isRegular else { throw .operationNotSupportedByDevice }
        try requireRoom(length, found, mode)
        if found.flags.contains(.staleTail) { try finishTruncation(id) }
        var from = offset
        while true {
            from = try withInode(id) { (stripe, found) throws(Errno) in try allocateSome(id, found, from..<end, mode, stripe) }
            if from >= end { return }
            if isInterrupted() { throw .interrupted }
        }
    }

    /// ENOSPC if what is to be reserved cannot be there. What the file has already may be a part of the range.
    private func requireRoom(_ length: UInt64, _ inode: Inode, _ mode: AllocationMode) throws(Errno) {
        if case .punchHole = mode { return }
        let capacity: VolumeCapacity
        do throws(Failure) { capacity = try environment.capacity() } catch { throw errno(of: error) }
        if length - min(length, inode.allocatedBytes) > capacity.availableBytes { throw .noSpace }
    }

    /// The front of `range`, in one batch. Returns how far it is done.
    private func allocateSome(
        _ id: UInt64, _ found: Inode, _ range: Range<UInt64>, _ mode: AllocationMode, _ stripe: Stripe
    ) throws(Errno) -> UInt64 {
        var inode = found
        stripe.batch.reset()
        // A stale tail may hold data where room is to be reserved, or where the file grows to.
        if range.upperBound > inode.size, inode.flags.contains(.staleTail) {
            try removeStaleTail(id, &inode, stripe)
            stripe.batch.reset()
        }
        if inode.flags.contains(.inline) { try endInline(id, &inode, writtenTo: 0..<0, stripe) }
        let reached: UInt64
        switch mode {
        case .allocate: reached = try reserveHoles(id, &inode, range, stripe)
        case .punchHole: reached = try editExtents(id, &inode, from: range.lowerBound, to: range.upperBound, new: nil, stripe)
        case .zeroRange:
            let zeros = Extent(start: range.lowerBound, length: range.upperBound - range.lowerBound)
            reached = try editExtents(id, &inode, from: range.lowerBound, to: range.upperBound, new: zeros, stripe)
        }
        if !Self.keepsSize(mode) { inode.size = max(inode.size, reached) }
        if case .punchHole = mode {} else if reached > inode.size { inode.flags.insert(.extentsPastSize) }
        inode.touchContent(environment.now())
        dropCapability(id, &inode, stripe.batch)
        try commit(id, inode, stripe)
        return reached
    }

    private static func keepsSize(_ mode: AllocationMode) -> Bool {
        switch mode {
        case .allocate(let keepSize), .zeroRange(let keepSize): keepSize
        case .punchHole: true
        }
    }

    /// Puts reserved extents where there are none, in the front of the range. Returns how far it is done.
    private func reserveHoles(_ id: UInt64, _ inode: inout Inode, _ range: Range<UInt64>, _ stripe: Stripe) throws(Errno) -> UInt64 {
        let isWhole = try collectExtents(id, inode, from: range.lowerBound, to: range.upperBound, stripe)
        let end = isWhole ? range.upperBound : min(stripe.extents.last?.end ?? range.upperBound, range.upperBound)
        var from = range.lowerBound
        for extent in stripe.extents {
            if extent.start > from { reserve(id, &inode, from, extent.start, stripe) }
            from = max(from, min(extent.end, end))
        }
        if from < end { reserve(id, &inode, from, end, stripe) }
        return end
    }

    private func reserve(_ id: UInt64, _ inode: inout Inode, _ from: UInt64, _ to: UInt64, _ stripe: Stripe) {
        let extent = Extent(start: from, length: to - from)
        put(id, extent, stripe.batch)
        inode.allocatedBytes += extent.length
    }
}

// MARK: Copies inside the volume
extension FileSystem {
    /// Bytes of data that one copy moves, and steps (runs of data, holes) that it takes: it must not keep a thread for long.
    private static let copyLimitBytes: UInt64 = 32 << 20
    private static let copyStepLimit = 1024

    /// Copies inside the volume; returns the number of bytes, which may be fewer than `length`, and 0 only at the end of the source.
    /// EINVAL if ranges of one file overlap. Holes become holes; bytes are copied, since a chunk belongs to one file.
    /// - Parameter isInterrupted: ends the copy early where it says true.
    public func copyRange(
        from source: InodeID, at sourceOffset: UInt64, to target: InodeID, at targetOffset: UInt64, length: UInt64,
        clearsSetIDs: Bool = false, isInterrupted: () -> Bool = { false }
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
        var copy = RangeCopy(source: source, target: target, sourceOffset: sourceOffset, targetOffset: targetOffset, length: length)
        var steps = 0
        do throws(Errno) {
            while copy.done < length, copy.dataBytes < Self.copyLimitBytes, steps < Self.copyStepLimit {
                guard try step(&copy, clearsSetIDs) else { break }
                steps += 1
                if isInterrupted() { break }
            }
        } catch {
            // What was copied is told; the error comes again with the rest, if it lasts.
            if copy.done == 0 { throw error }
        }
        return copy.done
    }

    /// A copy that is under way.
    private struct RangeCopy {
        let source: InodeID
        let target: InodeID
        let sourceOffset: UInt64
        let targetOffset: UInt64
        let length: UInt64
        var done: UInt64 = 0
        /// Of `done`, what was no hole.
        var dataBytes: UInt64 = 0
        var buffer: [UInt8] = []
    }

    /// Copies a part of a run of data, or of a hole. False if the source ends here by now.
    private func step(_ copy: inout RangeCopy, _ clearsSetIDs: Bool) throws(Errno) -> Bool {
        let position = copy.sourceOffset + copy.done
        let end = copy.sourceOffset + copy.length
        let to = copy.targetOffset + copy.done
        let dataStart = min(try search(copy.source, from: position, for: .data).offset ?? end, end)
        if dataStart > position {
            let hole = to..<to + (dataStart - position)
            copy.done = try clearForCopy(copy.target.rawValue, hole, clearsSetIDs) - copy.targetOffset
            return true
        }
        guard let dataEnd = try search(copy.source, from: position, for: .hole).offset else { return false }
        let wanted = Int(min(dataEnd, end, position + UInt64(ChunkLocation.maximumSizeBytes)) - position)
        if copy.buffer.count < wanted { copy.buffer = [UInt8](repeating: 0, count: wanted) }
        let source = copy.source
        let target = copy.target
        let count = try copy.buffer.withMutableBytes { (bytes) throws(Errno) in
            try read(source, at: position, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted]))
        }
        if count == 0 { return false }
        try copy.buffer.withBytes { (bytes) throws(Errno) in
            try write(target, at: to, from: UnsafeRawBufferPointer(rebasing: bytes[..<count]), clearsSetIDs: clearsSetIDs)
        }
        copy.done += UInt64(count)
        copy.dataBytes += UInt64(count)
        return true
    }

    /// The front of `range` reads as zeros, and the file reaches there. Returns how far it is done.
    private func clearForCopy(_ id: UInt64, _ range: Range<UInt64>, _ clearsSetIDs: Bool) throws(Errno) -> UInt64 {
        try withInode(id) { (stripe, found) throws(Errno) in
            var inode = found
            if range.upperBound > inode.size { try removeStaleTail(id, &inode, stripe) }
            stripe.batch.reset()
            var reached = range.upperBound
            // Behind its inline content a file is zeros already.
            if !inode.flags.contains(.inline) || range.lowerBound < inode.allocatedBytes {
                if inode.flags.contains(.inline) { try endInline(id, &inode, writtenTo: 0..<0, stripe) }
                reached = try editExtents(id, &inode, from: range.lowerBound, to: range.upperBound, new: nil, stripe)
            }
            noteWrite(id, &inode, end: reached, WriteEffects(clearsSetIDs: clearsSetIDs), stripe.batch)
            try commit(id, inode, stripe)
            return reached
        }
    }
}
