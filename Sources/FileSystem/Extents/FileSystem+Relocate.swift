public import ChunkStore
import MetadataStore
public import Records
import Synchronization
public import Syscalls
import SystemPackage

/// What a cleaner does with the live data of a segment that it wants to delete. It knows from each chunk's sealed header which
/// inode and file offset the chunk was written for; a chunk belongs to that file alone, and its bytes never change their
/// offset in it.
extension FileSystem {
    /// Seals a run of a file's bytes into the segment that the cleaner writes.
    public typealias ChunkWriter = (UnsafeRawBufferPointer, InodeID, UInt64) throws(Failure) -> ChunkLocation

    /// How many bytes of the chunk the file still needs.
    public func liveBytes(of chunk: ChunkLocation, inode: InodeID, fileOffset: UInt64) throws(Failure) -> Int {
        let scratch = scratches.take()
        defer { scratches.give(scratch) }
        do throws(Errno) {
            try collectPieces(of: chunk, inode.rawValue, fileOffset, scratch)
        } catch { throw Failure(systemCall: "finding live data", object: "\(inode)", error) }
        return scratch.extents.reduce(0) { $0 + Int($1.length) }
    }

    /// Writes what the file still needs of the chunk with `write`, and makes the extents point there, where they have not
    /// changed meanwhile. Times and change counter stay: the content does.
    /// - Returns: bytes that were moved.
    public func relocate(_ chunk: ChunkLocation, inode: InodeID, fileOffset: UInt64, write: ChunkWriter) throws(Failure) -> Int {
        let scratch = scratches.take()
        defer { scratches.give(scratch) }
        do throws(Errno) {
            try collectPieces(of: chunk, inode.rawValue, fileOffset, scratch)
            var moved = 0
            var first = 0
            while first < scratch.extents.count {
                // Neighbours in the file are neighbours in the chunk: one run.
                var last = first
                while last + 1 < scratch.extents.count, scratch.extents[last + 1].start == scratch.extents[last].end { last += 1 }
                let (start, end) = (scratch.extents[first].start, scratch.extents[last].end)
                var run = scratch.extents[first]
                run.length = end - start
                moved += try move(run, of: inode, write)
                first = last + 1
            }
            return moved
        } catch { throw Failure(systemCall: "moving live data", object: "\(inode)", error) }
    }

    /// The file's extents that point into the chunk.
    private func collectPieces(of chunk: ChunkLocation, _ id: UInt64, _ fileOffset: UInt64, _ scratch: Scratch) throws(Errno) {
        scratch.extents.removeAll(keepingCapacity: true)
        guard fileOffset < FileLimits.maximumSizeBytes else { return }
        let end = min(fileOffset + UInt64(chunk.sizeBytes), FileLimits.maximumSizeBytes)
        if try lookForExtents(id, from: fileOffset, to: end, limit: .max, into: &scratch.extents) == nil {
            scratch.extents.removeAll(keepingCapacity: true)
            let stripe = stripe(id)
            stripe.lock()
            defer { stripe.unlock() }
            _ = try collectExtents(id, from: fileOffset, to: end, limit: .max, into: &scratch.extents)
        }
        scratch.extents.removeAll { !Self.isPiece($0, of: chunk, at: fileOffset) }
    }

    private static func isPiece(_ extent: Extent, of chunk: ChunkLocation, at fileOffset: UInt64) -> Bool {
        extent.chunk?.segment == chunk.segment && extent.chunk?.frame == chunk.frame
            && extent.start == fileOffset + UInt64(extent.offsetInChunk)
    }

    private func move(_ run: Extent, of inode: InodeID, _ write: ChunkWriter) throws(Errno) -> Int {
        guard let oldChunk = run.chunk else { return 0 }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(run.length), alignment: 16)
        defer { buffer.deallocate() }
        // Gone already: somebody else has moved it.
        guard try read(oldChunk, from: Int(run.offsetInChunk), into: buffer) else { return 0 }
        let newChunk: ChunkLocation
        do throws(Failure) { newChunk = try write(UnsafeRawBufferPointer(buffer), inode, run.start) } catch { throw errno(of: error) }
        let stripe = stripe(inode.rawValue)
        stripe.lock()
        defer { stripe.unlock() }
        var moved = 0
        var from = run.start
        // What was overwritten meanwhile is garbage in the new chunk.
        defer { abandon(newChunk, bytes: run.length - UInt64(moved)) }
        while from < run.end {
            let (count, reached) = try swap(inode.rawValue, from, run, to: newChunk, stripe)
            moved += count
            from = reached
        }
        return moved
    }

    /// One batch of extents from `from` on that still point where the run was read get to point to the new chunk.
    private func swap(
        _ id: UInt64, _ from: UInt64, _ run: Extent, to newChunk: ChunkLocation, _ stripe: Stripe
    ) throws(Errno) -> (moved: Int, reached: UInt64) {
        stripe.extents.removeAll(keepingCapacity: true)
        let isWhole = try collectExtents(id, from: from, to: run.end, limit: options.batchRecordLimit, into: &stripe.extents)
        let reached = isWhole ? run.end : stripe.extents.last?.end ?? run.end
        guard let oldChunk = run.chunk else { return (0, reached) }
        let chunkStart = run.start - UInt64(run.offsetInChunk)
        stripe.batch.reset()
        var moved = 0
        var joined: Extent?
        for extent in stripe.extents where Self.isPiece(extent, of: oldChunk, at: chunkStart) {
            // Cut to the run: what reaches out of it was not read. (A piece only ever shrinks, so this does not happen.)
            guard extent.start >= run.start, extent.end <= run.end else { continue }
            moved += Int(extent.length)
            stripe.batch.delete(Keys.extent(id, end: extent.end))
            if let open = joined, open.end == extent.start {
                joined?.length += extent.length
                continue
            }
            if let open = joined { put(id, open, stripe.batch) }
            joined = Extent(
                start: extent.start, length: extent.length, chunk: newChunk, offsetInChunk: UInt32(extent.start - run.start))
        }
        if let joined { put(id, joined, stripe.batch) }
        if moved > 0 {
            stripe.batch.liveBytes(segment: oldChunk.segment, delta: -Int64(moved))
            stripe.batch.liveBytes(segment: newChunk.segment, delta: Int64(moved))
            _ = try apply(stripe.batch)
            stripe.epoch.wrappingAdd(1, ordering: .releasing)
        }
        return (moved, reached)
    }
}
