import BlobStorage
import Sealing
import Synchronization
import Syscalls

/// A segment opened for reading.
final class SegmentReader: Sendable {
    let blobID: BlobID
    let blob: any ReadableBlob
    let cipher: BlobCipher

    init(blobID: BlobID, blob: any ReadableBlob, cipher: BlobCipher) {
        self.blobID = blobID
        self.blob = blob
        self.cipher = cipher
    }

    /// Opens the header of the frame at `offset`, whose number in the segment is `frame`. Nil where no genuine frame is: the
    /// end of what was written, or damage; the caller knows which.
    func header(at offset: UInt64, frame: UInt32) throws(Failure) -> FrameHeader? {
        var sealed = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        return try withUnsafeMutableBytes(of: &sealed) { (sealed) throws(Failure) -> FrameHeader? in
            guard try blob.read(at: offset, into: sealed) == FrameHeader.sealedSizeBytes else { return nil }
            return FrameSealing.openHeader(UnsafeRawBufferPointer(sealed), at: place(offset, frame), with: cipher)
        }
    }

    func place(_ offset: UInt64, _ frame: UInt32) -> FramePlace { FramePlace(blob: blobID, offset: offset, frame: frame) }
}

/// The open segments, by number: at most `limit` file descriptors, the one not used for longest goes first.
/// Thread-safe; the lock is held for a look into a dictionary only.
final class SegmentCache: Sendable {
    private struct State {
        var readers: [UInt64: (reader: SegmentReader, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func reader(_ number: UInt64, open: () throws(Failure) -> SegmentReader) throws(Failure) -> SegmentReader {
        let found = state.withLock { state -> SegmentReader? in
            guard let index = state.readers.index(forKey: number) else { return nil }
            state.clock += 1
            state.readers.values[index].lastUse = state.clock
            return state.readers.values[index].reader
        }
        if let found { return found }
        let opened = try open()
        insert(number, opened)
        return opened
    }

    func insert(_ number: UInt64, _ reader: SegmentReader) {
        state.withLock { state in
            state.clock += 1
            state.readers[number] = (reader, state.clock)
            if state.readers.count > limit, let oldest = state.readers.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
                state.readers[oldest] = nil
            }
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.readers[number] = nil } }
}
