import BlobStorage
import Records
import Sealing
import Syscalls

/// What mounting starts from: where the newest checkpoint is.
struct Head: Equatable, Sendable {
    /// One more at every writing; the higher of two genuine slots counts.
    var sequence: UInt64
    /// The first frame of the checkpoint's commit.
    var checkpoint: LogPosition
    /// The checkpoint's own mark.
    var mark: CommitMark
    /// The header's revision when it was written: an older header was put back if it is lower.
    var headerRevision: UInt64
    /// True when the volume was closed in order: nothing follows the checkpoint.
    var isClean: Bool
}

/// The head of one writer: a small file with two sealed slots that are written in turn, so that a torn write leaves the other.
/// Each slot is sealed under a key of its own, made from 128 random bits that stand before it: the same slot number may be
/// sealed twice when a machine falls back to an older state, but never under one key.
struct HeadFile {
    static let slotSizeBytes = 4096
    private static let plainSizeBytes = 256
    private static let saltSizeBytes = 16
    private static let sealedSizeBytes = saltSizeBytes + plainSizeBytes + CipherSuite.tagSizeBytes

    static func name(writer: UInt64) -> String { "efs.head.\(writer)" }

    /// The genuine slots, newest first.
    static func read(_ storage: any BlobStorage, writer: UInt64, keys: KeyHierarchy) throws(Failure) -> [Head] {
        guard let bytes = try storage.readSmallFile(name(writer: writer), limitBytes: 2 * slotSizeBytes) else { return [] }
        var heads: [Head] = []
        for slot in 0..<2 where bytes.count >= slot * slotSizeBytes + sealedSizeBytes {
            let sealed = Array(bytes[slot * slotSizeBytes..<slot * slotSizeBytes + sealedSizeBytes])
            if let head = open(sealed, slot: slot, writer: writer, keys: keys) { heads.append(head) }
        }
        return heads.sorted { $0.sequence > $1.sequence }
    }

    /// Writes the slot that is this sequence's turn; it is durable once the file is synced.
    static func write(
        _ head: Head, to file: any WritableBlob, writer: UInt64, keys: KeyHierarchy, salt: BlobID
    ) throws(Failure) {
        let slot = Int(head.sequence % 2)
        let sealed = seal(head, slot: slot, writer: writer, keys: keys, salt: salt)
        var padded = sealed
        padded.append(contentsOf: repeatElement(0, count: slotSizeBytes - sealed.count))
        try padded.withBytes { (bytes) throws(Failure) in try file.write(bytes, at: UInt64(slot * slotSizeBytes)) }
    }

    static func seal(_ head: Head, slot: Int, writer: UInt64, keys: KeyHierarchy, salt: BlobID) -> [UInt8] {
        var plain = ByteWriter(capacityBytes: plainSizeBytes)
        plain.append(UInt32(1))
        plain.append(head.sequence)
        head.checkpoint.encode(into: &plain)
        plain.append(head.mark.generation)
        plain.append(head.mark.digest)
        plain.append(head.headerRevision)
        plain.append(UInt8(head.isClean ? 1 : 0))
        while plain.count < plainSizeBytes { plain.append(UInt8(0)) }
        var output = ByteWriter(capacityBytes: sealedSizeBytes)
        output.append(salt.high)
        output.append(salt.low)
        var sealed = [UInt8](repeating: 0, count: plainSizeBytes + CipherSuite.tagSizeBytes)
        let bytes = plain.readable
        sealed.withUnsafeMutableBytes { sealed in
            keys.cipher(for: .head, high: salt.high, low: salt.low).withContext { context in
                associated(slot: slot, writer: writer).withUnsafeBytes {
                    context.seal(bytes, nonce: SealingNonce(frame: 0, block: 0), authenticating: $0, into: sealed)
                }
            }
        }
        output.append(sealed)
        return Array(output.readable)
    }

    static func open(_ bytes: [UInt8], slot: Int, writer: UInt64, keys: KeyHierarchy) -> Head? {
        bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            guard bytes.count == sealedSizeBytes, let high = reader.readUInt64(), let low = reader.readUInt64() else { return nil }
            var plain = [UInt8](repeating: 0, count: plainSizeBytes)
            let isGenuine = plain.withUnsafeMutableBytes { plain in
                keys.cipher(for: .head, high: high, low: low).withContext { context in
                    associated(slot: slot, writer: writer).withUnsafeBytes {
                        context.open(
                            UnsafeRawBufferPointer(rebasing: bytes[saltSizeBytes...]), nonce: SealingNonce(frame: 0, block: 0),
                            authenticating: $0, into: plain)
                    }
                }
            }
            return isGenuine ? plain.withUnsafeBytes { decode($0) } : nil
        }
    }

    private static func decode(_ plain: UnsafeRawBufferPointer) -> Head? {
        var reader = ByteReader(plain)
        guard reader.readUInt32() == 1, let sequence = reader.readUInt64(), let checkpoint = LogPosition(decoding: &reader),
            let generation = reader.readUInt64(), let digest = reader.readDigest(), let revision = reader.readUInt64(),
            let clean = reader.readUInt8(), sequence < CommitMark.generationLimit, generation < CommitMark.generationLimit
        else { return nil }
        return Head(
            sequence: sequence, checkpoint: checkpoint, mark: CommitMark(generation: generation, digest: digest),
            headerRevision: revision, isClean: clean == 1)
    }

    private static func associated(slot: Int, writer: UInt64) -> [UInt8] {
        var bytes = ByteWriter(capacityBytes: 24)
        bytes.append(UInt32(0x4853_4645))  // "EFSH"
        bytes.append(UInt32(1))
        bytes.append(UInt64(slot))
        bytes.append(writer)
        return Array(bytes.readable)
    }
}
