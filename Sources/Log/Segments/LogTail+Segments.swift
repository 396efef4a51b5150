import BlobStorage
import Records
import Sealing
import Syscalls

/// Room in the active segment, and going on to the next one. The caller of each holds the monitor.
extension LogTail {
    static let closingFrameSizeBytes = FrameHeader(
        kind: .closing, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: SegmentClosing.sizeBytes
    ).frameSizeBytes

    /// Takes room up to `end` and for a closing frame after it: in a large step, in a small one where there is not enough for that, and for
    /// what is urgent out of the reserve.
    func allocate(_ segment: ActiveSegment, through end: UInt64, isUrgent: Bool) throws(Failure) {
        let needed = end + UInt64(Self.closingFrameSizeBytes)
        if needed <= segment.allocatedEnd { return }
        let step = configuration.allocationStepBytes
        if try isAllocated(segment, through: (needed + step - 1) / step * step) { return }
        if isUrgent {
            if try isAllocated(segment, through: needed) { return }
            _ = actions.releaseReserve(.committing)
        }
        try segment.blob.allocate(segment.allocatedEnd..<needed)
        segment.allocatedEnd = needed
    }

    /// False if there is not so much room.
    private func isAllocated(_ segment: ActiveSegment, through end: UInt64) throws(Failure) -> Bool {
        do { try segment.blob.allocate(segment.allocatedEnd..<end) } catch  where error.kind == .noSpace { return false }
        segment.allocatedEnd = end
        return true
    }

    /// Closes the active segment with the name of the next one. When there is no room for a next one, nothing has changed.
    func roll(isUrgent: Bool) throws(Failure) {
        guard let old = segment else { return }
        let (next, opening) = try makeOpened(isUrgent: isUrgent)
        var payload = ByteWriter(capacityBytes: SegmentClosing.sizeBytes)
        SegmentClosing(nextNumber: next.number, nextBlob: next.blobID).encode(into: &payload)
        let closing: Digest32
        do { closing = try writeSmall(.closing, payload.readable, to: old) } catch {
            // Another closing frame would be sealed under the nonce of this one.
            poisonHeld(error)
            throw error
        }
        digests.append(closing)
        digests.append(opening)
        segment = next
        unsynced.append(next)
        actions.didClose(old)
    }

    /// A new segment with its opening frame, and that frame's digest. Nothing names it yet: when it fails, the segment is no more.
    func makeOpened(isUrgent: Bool) throws(Failure) -> (ActiveSegment, Digest32) {
        do { return try makeOpened() } catch {
            guard error.kind == .noSpace, isUrgent, actions.releaseReserve(.committing) else { throw error }
            return try makeOpened()
        }
    }

    private func makeOpened() throws(Failure) -> (ActiveSegment, Digest32) {
        let new = try actions.makeSegment()
        do {
            if try !isAllocated(new, through: configuration.allocationStepBytes) { try allocate(new, through: 4096, isUrgent: false) }
            var payload = ByteWriter(capacityBytes: 128)
            actions.openingFacts(new.number).encode(into: &payload)
            return (new, try writeSmall(.opening, payload.readable, to: new))
        } catch {
            actions.discardSegment(new)
            throw error
        }
    }

    private func writeSmall(_ kind: FrameKind, _ payload: UnsafeRawBufferPointer, to segment: ActiveSegment) throws(Failure) -> Digest32 {
        let header = FrameHeader(kind: kind, blockSizeLog2: FrameHeader.dataBlockSizeLog2, payloadSizeBytes: payload.count)
        let size = header.frameSizeBytes
        let place = segment.place(offset: segment.offset, frame: segment.frame)
        // The place is used up by the sealing, not by the writing.
        segment.offset += UInt64(size)
        segment.frame += 1
        return try pool.withBuffer { (buffer) throws(Failure) -> Digest32 in
            let frame = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<size])
            let digest = FrameSealing.seal(header, payload, at: place, with: segment.cipher, into: frame)
            try write(UnsafeRawBufferPointer(frame), to: segment, at: place.offset, kind.use)
            unsyncedBytes += UInt64(size)
            return digest
        }
    }
}
