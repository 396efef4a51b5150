import BlobStorage
import Records
public import Syscalls
import Tables

extension VolumeLog {
    /// Live bytes of each segment as the log keeps account of them, for a check against the extents.
    public var liveBytesBySegment: [UInt64: Int64] { changes.withLock { segments.facts.mapValues(\.liveBytes) } }

    /// Authenticates every frame of every segment that the volume names: all headers, and with `deep` every block. Calls `report` for each
    /// segment with damage, with the first thing found, and `progress` with the bytes done and the bytes in all.
    /// - Returns: segments and bytes that were looked at.
    public func verifySegments(
        deep: Bool, progress: (_ doneBytes: UInt64, _ totalBytes: UInt64) -> Void, _ report: (Failure) -> Void
    ) -> (segments: Int, bytes: UInt64) {
        let all = changes.withLock { segments.values.filter { !$0.isActive }.map(\.facts) }.sorted { $0.number < $1.number }
        let total = all.reduce(UInt64(0)) { $0 + $1.sizeBytes }
        var done: UInt64 = 0
        for facts in all {
            do throws(Failure) { try verify(facts, deep: deep) } catch { report(error) }
            done += facts.sizeBytes
            progress(done, total)
        }
        return (all.count, done)
    }

    private func verify(_ facts: SegmentFacts, deep: Bool) throws(Failure) {
        let reader = try segmentReader(facts.number)
        var offset: UInt64 = 0
        var frame: UInt32 = 0
        while offset < facts.sizeBytes {
            guard let header = try reader.header(at: offset, frame: frame) else { throw damaged(facts, at: offset) }
            if deep, try !reader.isGenuine(header, at: offset, frame: frame, pool) { throw damaged(facts, at: offset) }
            offset += UInt64(header.frameSizeBytes)
            frame += 1
        }
        guard offset == facts.sizeBytes else { throw damaged(facts, at: facts.sizeBytes) }
    }

    private func damaged(_ facts: SegmentFacts, at offset: UInt64) -> Failure {
        Failure(
            .damaged, "the frame at byte \(offset) does not authenticate", object: "\(storage.name): segment \(facts.blob)",
            hint: "restore this blob from a backup")
    }

    /// Authenticates the tables: footers and indexes, and with `deep` every byte. Calls `report` for each that is damaged.
    /// - Returns: tables and bytes that were looked at, and how many tables are damaged.
    public func verifyTables(deep: Bool, _ report: (Failure) -> Void) -> (tables: Int, bytes: UInt64, damaged: Int) {
        let result = tree.verify(deep: deep, report)
        return (result.tableCount, result.sizeBytes, result.damagedCount)
    }
}

extension SegmentReader {
    /// Whether the frame's payload authenticates.
    fileprivate func isGenuine(_ header: FrameHeader, at offset: UInt64, frame: UInt32, _ pool: BufferPool) throws(Failure) -> Bool {
        try pool.withBuffer { (sealed) throws(Failure) in
            try pool.withBuffer { (plain) throws(Failure) in
                let count = header.frameSizeBytes - FrameHeader.sealedSizeBytes
                let blocks = UnsafeMutableRawBufferPointer(rebasing: sealed[0..<count])
                guard try blob.read(at: offset + UInt64(FrameHeader.sealedSizeBytes), into: blocks) == count else { return false }
                return FrameSealing.openBlocks(
                    UnsafeRawBufferPointer(blocks), firstBlock: 0, payloadSizeBytes: header.payloadSizeBytes,
                    blockSizeLog2: header.blockSizeLog2, at: place(offset, frame), with: cipher,
                    into: UnsafeMutableRawBufferPointer(rebasing: plain[0..<header.payloadSizeBytes]))
            }
        }
    }
}
