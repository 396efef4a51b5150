import ChunkStore
import Records
import Syscalls
public import SystemPackage

extension FileSystem {
    /// Writes all of `data`, growing the file. EFBIG past 2^63-1.
    /// - Parameter clearsSetIDs: as the kernel's FUSE_WRITE_KILL_SUIDGID asks.
    /// - Parameter isWriteback: the bytes were written before, to a cache that took a program's capabilities away at that time. Those that it
    ///   was given since stay.
    public func write(
        _ inode: InodeID, at offset: UInt64, from data: UnsafeRawBufferPointer, clearsSetIDs: Bool = false, isWriteback: Bool = false
    ) throws(Errno) {
        try requireWritable()
        guard offset <= FileLimits.maximumSizeBytes, UInt64(data.count) <= FileLimits.maximumSizeBytes - offset else { throw .fileTooLarge }
        var done = 0
        while done < data.count {
            let count = min(data.count - done, ChunkLocation.maximumSizeBytes)
            let run = UnsafeRawBufferPointer(rebasing: data[done..<done + count])
            try writeRun(
                inode.rawValue, at: offset + UInt64(done), run, WriteEffects(clearsSetIDs: clearsSetIDs, keepsCapability: isWriteback))
            done += count
        }
    }

    /// At most one chunk.
    private func writeRun(_ id: UInt64, at offset: UInt64, _ data: UnsafeRawBufferPointer, _ effects: WriteEffects) throws(Errno) {
        let end = offset + UInt64(data.count)
        let isWritten = try withInode(id) { (stripe, found) throws(Errno) in
            try requireRegular(found)
            guard canBeInline(found, end: end) else { return false }
            try writeInline(id, found, at: offset, data, effects, stripe)
            return true
        }
        if isWritten { return }
        let chunk = try seal(data, id, at: offset)
        var placed = offset
        defer { abandon(chunk, bytes: end - placed) }
        try withInode(id) { (stripe, found) throws(Errno) in
            var inode = found
            if end > inode.size { try removeStaleTail(id, &inode, stripe) }
            stripe.batch.reset()
            if inode.flags.contains(.inline) { try endInline(id, &inode, writtenTo: offset..<end, stripe) }
            try place(Extent(start: offset, length: end - offset, chunk: chunk), of: id, inode, effects, stripe, &placed)
        }
    }

    /// The store keeps what nothing names yet, until it is told that nothing will.
    func abandon(_ chunk: ChunkLocation, bytes: UInt64) {
        guard bytes > 0 else { return }
        var rest = chunk
        rest.sizeBytes = UInt32(bytes)
        chunks.abandon(rest)
    }

    func seal(_ data: UnsafeRawBufferPointer, _ id: UInt64, at offset: UInt64) throws(Errno) -> ChunkLocation {
        do throws(Failure) { return try chunks.write(data, inode: id, fileOffset: offset) } catch { throw errno(of: error) }
    }

    /// Puts the extent of a chunk that was written into the file, from `from` on, with what the stripe's batch holds already.
    private func place(
        _ extent: Extent, of id: UInt64, _ found: Inode, _ effects: WriteEffects, _ stripe: Stripe, _ from: inout UInt64
    ) throws(Errno) {
        var inode = found
        while from < extent.end {
            let rest = extent.part(from: from, to: extent.end)
            let reached = try editExtents(id, &inode, from: from, to: extent.end, new: rest, stripe)
            noteWrite(id, &inode, end: reached, effects, stripe.batch)
            try commit(id, inode, stripe)
            from = reached
            stripe.batch.reset()
        }
    }

    /// What a write does to the rights that a program has.
    struct WriteEffects {
        var clearsSetIDs: Bool
        var keepsCapability = false
    }

    /// What any write does to the inode.
    func noteWrite(_ id: UInt64, _ inode: inout Inode, end: UInt64, _ effects: WriteEffects, _ batch: RecordBatch) {
        inode.size = max(inode.size, end)
        inode.touchContent(environment.now())
        if effects.clearsSetIDs { inode.clearSetIDs() }
        if !effects.keepsCapability { dropCapability(id, &inode, batch) }
    }
}

// MARK: Inline content
extension FileSystem {
    /// Whether content up to `end` stays in, or goes to, the inline record: only where there are no extents.
    private func canBeInline(_ inode: Inode, end: UInt64) -> Bool {
        end <= UInt64(options.inlineLimitBytes) && (inode.flags.contains(.inline) || inode.allocatedBytes == 0)
            && !inode.flags.contains(.staleTail)
    }

    /// Copies the inline record into the stripe's `bytes`. It is as long as the inode says, and the file may be longer: zeros.
    func loadInline(_ id: UInt64, _ inode: Inode, _ stripe: Stripe) throws(Errno) {
        stripe.bytes.reset()
        let isThere = try get(Keys.inline(id)) { stripe.bytes.append($0) }
        guard isThere, UInt64(stripe.bytes.count) == inode.allocatedBytes else { throw damaged("the inline content does not fit", id) }
    }

    private func writeInline(
        _ id: UInt64, _ found: Inode, at offset: UInt64, _ data: UnsafeRawBufferPointer, _ effects: WriteEffects, _ stripe: Stripe
    ) throws(Errno) {
        var inode = found
        stripe.bytes.reset()
        let end = offset + UInt64(data.count)
        if inode.flags.contains(.inline), offset > 0 || end < inode.allocatedBytes { try loadInline(id, inode, stripe) }
        let old = stripe.bytes.readable
        let batch = stripe.batch
        batch.reset()
        batch.put(Keys.inline(id)) { writer in
            let front = min(old.count, Int(offset))
            writer.append(UnsafeRawBufferPointer(rebasing: old[..<front]))
            for _ in front..<Int(offset) { writer.append(UInt8(0)) }
            writer.append(data)
            if old.count > Int(end) { writer.append(UnsafeRawBufferPointer(rebasing: old[Int(end)...])) }
        }
        inode.flags.insert(.inline)
        inode.allocatedBytes = max(UInt64(old.count), end)
        noteWrite(id, &inode, end: end, effects, batch)
        try commit(id, inode, stripe)
    }

    /// The inline record goes, in the stripe's batch, which is empty: its content becomes a chunk, unless all of it is about to
    /// be written over in the same batch.
    func endInline(_ id: UInt64, _ inode: inout Inode, writtenTo range: Range<UInt64>, _ stripe: Stripe) throws(Errno) {
        let count = inode.allocatedBytes
        if range.lowerBound == 0, range.upperBound >= count {
            stripe.batch.delete(Keys.inline(id))
            inode.flags.remove(.inline)
            inode.allocatedBytes = 0
            return
        }
        try loadInline(id, inode, stripe)
        // Under the lock: 2 KiB, once in a file's life. Applied by itself, so that what follows finds the extent in the store.
        let chunk = try seal(stripe.bytes.readable, id, at: 0)
        stripe.batch.delete(Keys.inline(id))
        inode.flags.remove(.inline)
        put(id, Extent(start: 0, length: count, chunk: chunk), stripe.batch)
        stripe.batch.liveBytes(segment: chunk.segment, delta: Int64(count))
        do throws(Errno) { try commit(id, inode, stripe) } catch {
            abandon(chunk, bytes: count)
            throw error
        }
        stripe.batch.reset()
    }
}
