import BlobStorage
import Records
import Sealing
import Syscalls

/// A segment that this session writes. What changes of it is guarded by the tail's monitor.
final class ActiveSegment: @unchecked Sendable {
    // @unchecked: the variables are touched only by LogTail, under its monitor.
    let number: UInt64
    let blobID: BlobID
    let blob: any WritableBlob
    let cipher: BlobCipher
    /// Where the next frame goes, and its number.
    var offset: UInt64 = 0
    var frame: UInt32 = 0
    /// Room is taken up to here.
    var allocatedEnd: UInt64 = 0
    /// Zeros are written, and synced, up to here.
    var zeroedEnd: UInt64 = 0
    /// No frame may reach beyond this while zeros are being written from there on.
    var appendLimit = UInt64.max
    /// Frames that have their place and are not yet written.
    var inFlight = 0
    /// Whether its directory entry is known to be durable.
    var hasDurableName = false

    init(number: UInt64, blobID: BlobID, blob: any WritableBlob, cipher: BlobCipher) {
        self.number = number
        self.blobID = blobID
        self.blob = blob
        self.cipher = cipher
    }

    func place(offset: UInt64, frame: UInt32) -> FramePlace { FramePlace(blob: blobID, offset: offset, frame: frame) }

    var position: LogPosition { LogPosition(segment: number, blob: blobID, offset: offset, frame: frame) }
}
