import BlobStorage
public import Records
import Sealing
import Synchronization
public import Syscalls
import SystemPackage

extension VolumeLog {
    /// A new segment file; called with the tail's monitor held or before the tail is used.
    func makeSegment() throws(Failure) -> ActiveSegment {
        let number = changes.withLock { () -> UInt64 in
            defer { nextSegment += 1 }
            return nextSegment
        }
        let id = BlobID.makeRandom()
        strays.didMake(id)
        let blob = try storage.createBlob(id)
        let cipher = keys.cipher(for: .segment, high: id.high, low: id.low)
        changes.withLock { segments[number] = SegmentState(facts: SegmentFacts(number: number, blob: id), isActive: true) }
        cache.insert(number, SegmentReader(blobID: id, blob: blob, cipher: cipher))
        return ActiveSegment(number: number, blobID: id, blob: blob, cipher: cipher)
    }

    /// A segment that could not be begun: its blob would only take room.
    func discardSegment(_ segment: ActiveSegment) {
        changes.withLock { segments[segment.number] = nil }
        cache.remove(segment.number)
        do { try storage.deleteBlob(segment.blobID) } catch { report("cannot delete an empty segment: \(error)") }
    }

    /// Names the newest commit that is known to be durable, for repair.
    func opening(of number: UInt64) -> SegmentOpening {
        let before = changes.withLock { durableMark }
        return SegmentOpening(
            number: number, writer: writer, session: session, headerDigest: headerDigest, previousGeneration: before.generation,
            previousDigest: before.digest)
    }

    func didClose(_ closed: ActiveSegment) {
        let end = closed.offset
        changes.withLock {
            segments.update(closed.number) {
                $0.facts.sizeBytes = end
                $0.isActive = false
            }
        }
        // Room that was taken beyond the closing frame goes back; failing to do so wastes it, no more.
        do { try closed.blob.truncate(to: end) } catch { report("cannot trim a closed segment: \(error)") }
    }

    /// Seals and writes a run of file data.
    public func writeChunk(_ data: UnsafeRawBufferPointer, inode: UInt64, fileOffset: UInt64) throws(Failure) -> ChunkLocation {
        precondition(data.count > 0 && data.count <= ChunkLocation.maximumSizeBytes)
        if options.isReadOnly { throw Failure(.readOnly, "the volume is open for reading only", object: storage.name) }
        if !hasSession.load(ordering: .acquiring) { try commitLock.withLock { () throws(Failure) in try startSession() } }
        let header = FrameHeader(
            kind: .chunk, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: data.count, first: inode, second: fileOffset)
        let place = try writeWhereRoom(header, data)
        let chunk = ChunkLocation(
            segment: place.segment.number, frameOffset: UInt32(place.offset), frame: place.frame, sizeBytes: UInt32(data.count),
            blockSizeLog2: header.blockSizeLog2)
        if place.unsyncedBytes > options.maximumUnsyncedBytes {
            do throws(Failure) { try limitUnsynced() } catch {
                abandonChunk(chunk)
                throw error
            }
        } else if place.unsyncedBytes > Self.backgroundSyncBytes,
            place.unsyncedBytes >> 20 != (place.unsyncedBytes - UInt64(header.frameSizeBytes)) >> 20
        {
            // Once for each MiB is enough.
            committer.kick()
        }
        return chunk
    }

    /// Beyond this the background commits without being asked.
    static let backgroundSyncBytes: UInt64 = 32 << 20

    private static let smallChunkBytes = 4 << 10

    /// Waits for room as long as the cleaner makes some.
    private func writeWhereRoom(_ header: FrameHeader, _ data: UnsafeRawBufferPointer) throws(Failure) -> LogTail.Reservation {
        while true {
            do throws(Failure) {
                // What was kept for deleting and cleaning is not for new data.
                if changes.withLock({ isFull }), !isMovingThread {
                    throw Failure(.noSpace, "the storage is full", object: storage.name, cause: .noSpace)
                }
                return try writeFrame(header, data)
            } catch {
                // A small one does not wait: what outgrew its inode's record is written under the inode's stripe, and a cleaner that
                // needs the stripe would make no room.
                guard error.kind == .noSpace, tail.failure == nil, data.count > Self.smallChunkBytes, waitForRoom() else { throw error }
            }
        }
    }

    private func writeFrame(_ header: FrameHeader, _ data: UnsafeRawBufferPointer) throws(Failure) -> LogTail.Reservation {
        // Whoever meets the failure is told of it; who comes later is told that the volume is read-only.
        let wasReadOnly = tail.failure != nil
        do throws(Failure) {
            do { return try writeClaimed(header, data) } catch {
                // The cleaner makes room by writing: it may use what is kept for that.
                guard error.kind == .noSpace, tail.failure == nil, isMovingThread, releaseReserve(for: .moving) else { throw error }
                return try writeClaimed(header, data)
            }
        } catch {
            if error.kind == .noSpace { wantRoom() }
            throw wasReadOnly ? readOnly(error) : error
        }
    }

    /// The bytes count as unclaimed before the frame counts as written: afterwards the segment could be closed and dropped at once.
    private func writeClaimed(_ header: FrameHeader, _ data: UnsafeRawBufferPointer) throws(Failure) -> LogTail.Reservation {
        try tail.write(header, data) { segment in
            changes.withLock { segments.update(segment) { $0.unclaimedBytes += Int64(data.count) } }
        }
    }

    /// A written chunk that no batch will name.
    public func abandonChunk(_ chunk: ChunkLocation) {
        changes.withLock { segments.update(chunk.segment) { $0.unclaimedBytes -= Int64(chunk.sizeBytes) } }
    }

    /// Reads and opens `output.count` bytes from `offset` of a chunk.
    public func readChunk(_ chunk: ChunkLocation, from offset: Int, into output: UnsafeMutableRawBufferPointer) throws(Failure) {
        guard offset >= 0, offset + output.count <= Int(chunk.sizeBytes), chunk.sizeBytes <= ChunkLocation.maximumSizeBytes,
            (12...16).contains(chunk.blockSizeLog2)
        else {
            throw Failure(.damaged, "an extent points beyond its chunk", object: "segment \(chunk.segment)")
        }
        if output.isEmpty { return }
        let reader = try segmentReader(chunk.segment)
        let log2 = chunk.blockSizeLog2
        let first = offset >> Int(log2)
        let last = (offset + output.count - 1) >> Int(log2)
        let sealedStart = FrameHeader.blockOffset(first, blockSizeLog2: log2)
        let lastEnd = min((last + 1) << Int(log2), Int(chunk.sizeBytes))
        let plainCount = lastEnd - first << Int(log2)
        let sealedCount = plainCount + (last - first + 1) * CipherSuite.tagSizeBytes
        let place = reader.place(UInt64(chunk.frameOffset), chunk.frame)
        let size = Int(chunk.sizeBytes)
        try pool.withBuffer { (buffer) throws(Failure) in
            let sealed = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<sealedCount])
            let count = try reader.blob.read(at: UInt64(chunk.frameOffset) + UInt64(sealedStart), into: sealed)
            guard count == sealedCount else { throw damaged(reader, "ends before the data that it should hold") }
            let isGenuine: Bool
            if plainCount == output.count {
                isGenuine = FrameSealing.openBlocks(
                    UnsafeRawBufferPointer(sealed), firstBlock: first, payloadSizeBytes: size, blockSizeLog2: log2, at: place,
                    with: reader.cipher, into: output)
            } else {
                isGenuine = openPart(sealed, first: first, last: last, offset: offset, size: size, log2: log2, place, reader.cipher, output)
            }
            guard isGenuine else { throw damaged(reader, "data at byte \(chunk.frameOffset) does not authenticate") }
        }
    }

    /// Opens blocks in place, then copies what was asked for: the ends of a range that is not made of whole blocks.
    private func openPart(
        _ sealed: UnsafeMutableRawBufferPointer, first: Int, last: Int, offset: Int, size: Int, log2: UInt8, _ place: FramePlace,
        _ cipher: BlobCipher, _ output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let blockSize = 1 << Int(log2)
        var at = 0
        for block in first...last {
            let count = min(blockSize, size - block * blockSize)
            let unit = UnsafeMutableRawBufferPointer(rebasing: sealed[at..<at + count + CipherSuite.tagSizeBytes])
            let isGenuine = FrameSealing.openBlocks(
                UnsafeRawBufferPointer(unit), firstBlock: block, payloadSizeBytes: size, blockSizeLog2: log2, at: place, with: cipher,
                into: UnsafeMutableRawBufferPointer(rebasing: unit[0..<count]))
            guard isGenuine else { return false }
            let from = max(offset, block * blockSize)
            let to = min(offset + output.count, block * blockSize + count)
            UnsafeMutableRawBufferPointer(rebasing: output[from - offset..<to - offset]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: unit[from - block * blockSize..<to - block * blockSize]))
            at += count + CipherSuite.tagSizeBytes
        }
        return true
    }

    private func damaged(_ reader: SegmentReader, _ what: String) -> Failure {
        Failure(.damaged, what, object: "\(storage.name): segment \(reader.blobID)", hint: "restore this blob from a backup")
    }

    func segmentReader(_ number: UInt64) throws(Failure) -> SegmentReader {
        try cache.reader(number) { () throws(Failure) in
            guard let id = changes.withLock({ segments[number]?.facts.blob }) else {
                throw Failure(.missing, "is no longer part of the volume", object: "segment \(number)")
            }
            let blob: any ReadableBlob
            do throws(Failure) { blob = try storage.openBlob(id) } catch  where error.kind == .missing {
                // Deleted by the cleaner between the look-up and here, or gone: the caller looks the extent up again, which tells.
                throw Failure(.missing, "is missing from the storage", object: "\(storage.name): segment \(id)", cause: .ioError)
            }
            return SegmentReader(blobID: id, blob: blob, cipher: keys.cipher(for: .segment, high: id.high, low: id.low))
        }
    }
}
