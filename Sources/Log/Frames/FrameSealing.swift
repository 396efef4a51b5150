public import BlobStorage
import Sealing

/// Where a frame is: its segment's blob, its offset there and its number in it. All three are bound into every seal: the blob
/// by the key, the number by the nonce, all by the associated data.
public struct FramePlace: Sendable, Equatable {
    public var blob: BlobID
    public var offset: UInt64
    public var frame: UInt32

    public init(blob: BlobID, offset: UInt64, frame: UInt32) {
        self.blob = blob
        self.offset = offset
        self.frame = frame
    }

    static let associatedSizeBytes = 32

    /// Associated data of all units of the frame: `"EFSF" u32, format u32, blob high u64, low u64, offset u64`.
    func withAssociatedData<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        var bytes = (
            UInt32(0x4653_4645).littleEndian, UInt32(1).littleEndian, blob.high.littleEndian, blob.low.littleEndian, offset.littleEndian
        )
        // A tuple of these five fixed-width integers has no padding: 4 + 4 + 8 + 8 + 8.
        return try withUnsafeBytes(of: &bytes) { (bytes) throws(E) -> R in try body(bytes) }
    }
}

/// Seals and opens whole frames.
enum FrameSealing {
    /// Seals header and payload into `output` (`header.frameSizeBytes` long) and gives the digest over all of the frame's tags.
    static func seal(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, at place: FramePlace, with cipher: BlobCipher,
        into output: UnsafeMutableRawBufferPointer
    ) -> Digest32 {
        precondition(payload.count == header.payloadSizeBytes && output.count == header.frameSizeBytes)
        let tag = CipherSuite.tagSizeBytes
        var hasher = DigestHasher()
        place.withAssociatedData { associated in
            cipher.withContext { context in
                var plain = (UInt64(0), UInt64(0), UInt64(0))
                withUnsafeMutableBytes(of: &plain) { plain in
                    header.encode(into: plain.baseAddress!)
                    context.seal(
                        UnsafeRawBufferPointer(plain), nonce: SealingNonce(frame: UInt64(place.frame), block: FrameHeader.nonceBlock),
                        authenticating: associated,
                        into: UnsafeMutableRawBufferPointer(rebasing: output[0..<FrameHeader.sealedSizeBytes]))
                }
                hasher.update(UnsafeRawBufferPointer(rebasing: output[FrameHeader.plainSizeBytes..<FrameHeader.sealedSizeBytes]))
                var at = FrameHeader.sealedSizeBytes
                var from = 0
                var block: UInt32 = 0
                while from < payload.count {
                    let count = min(header.blockSizeBytes, payload.count - from)
                    context.seal(
                        UnsafeRawBufferPointer(rebasing: payload[from..<from + count]),
                        nonce: SealingNonce(frame: UInt64(place.frame), block: block), authenticating: associated,
                        into: UnsafeMutableRawBufferPointer(rebasing: output[at..<at + count + tag]))
                    hasher.update(UnsafeRawBufferPointer(rebasing: output[at + count..<at + count + tag]))
                    at += count + tag
                    from += count
                    block += 1
                }
            }
        }
        return hasher.finish()
    }

    /// Opens a frame's header; nil if it does not authenticate or is none that this version knows.
    static func openHeader(_ sealed: UnsafeRawBufferPointer, at place: FramePlace, with cipher: BlobCipher) -> FrameHeader? {
        guard sealed.count >= FrameHeader.sealedSizeBytes else { return nil }
        var plain = (UInt64(0), UInt64(0), UInt64(0))
        return withUnsafeMutableBytes(of: &plain) { plain in
            let isGenuine = place.withAssociatedData { associated in
                cipher.withContext { context in
                    context.open(
                        UnsafeRawBufferPointer(rebasing: sealed[0..<FrameHeader.sealedSizeBytes]),
                        nonce: SealingNonce(frame: UInt64(place.frame), block: FrameHeader.nonceBlock), authenticating: associated,
                        into: plain)
                }
            }
            return isGenuine ? FrameHeader(decoding: UnsafeRawBufferPointer(plain)) : nil
        }
    }

    /// Opens blocks `firstBlock…` of a frame, which lie one after the other in `sealed`, into `output`. The last block of a frame may be
    /// short; `payloadSizeBytes` is the frame's, so that each block's length is known. False if one does not authenticate.
    static func openBlocks(
        _ sealed: UnsafeRawBufferPointer, firstBlock: Int, payloadSizeBytes: Int, blockSizeLog2: UInt8, at place: FramePlace,
        with cipher: BlobCipher, into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let tag = CipherSuite.tagSizeBytes
        let size = 1 << Int(blockSizeLog2)
        return place.withAssociatedData { associated in
            cipher.withContext { context in
                var at = 0
                var to = 0
                var block = firstBlock
                while to < output.count {
                    let count = min(size, payloadSizeBytes - block * size)
                    guard count > 0, at + count + tag <= sealed.count, to + count <= output.count,
                        context.open(
                            UnsafeRawBufferPointer(rebasing: sealed[at..<at + count + tag]),
                            nonce: SealingNonce(frame: UInt64(place.frame), block: UInt32(block)), authenticating: associated,
                            into: UnsafeMutableRawBufferPointer(rebasing: output[to..<to + count]))
                    else { return false }
                    at += count + tag
                    to += count
                    block += 1
                }
                return true
            }
        }
    }

    /// The digest over the tags of a frame that was read whole: the same as `seal` gave.
    static func digest(of header: FrameHeader, frame: UnsafeRawBufferPointer) -> Digest32 {
        let tag = CipherSuite.tagSizeBytes
        var hasher = DigestHasher()
        hasher.update(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.plainSizeBytes..<FrameHeader.sealedSizeBytes]))
        var at = FrameHeader.sealedSizeBytes
        var rest = header.payloadSizeBytes
        while rest > 0 {
            let count = min(header.blockSizeBytes, rest)
            hasher.update(UnsafeRawBufferPointer(rebasing: frame[at + count..<at + count + tag]))
            at += count + tag
            rest -= count
        }
        return hasher.finish()
    }
}
