import BlobStorage
import Records
import Sealing
import Syscalls

/// Segments that nothing leads to although commits in them were acknowledged: the frame that led there was damaged, or the storage lost
/// it. The opening frame of each segment names a commit that was on stable storage when the segment was made; if that is later than all
/// that was recovered, something is missing. It proves damage only, never its absence.
extension VolumeLog {
    /// Says, until a rollback is accepted, that commits were found to be lost after a session had begun without them.
    static let damageFileName = "efs.damaged"

    /// Refuses to open a volume that is known to miss commits. The directory is listed only if the log ends in something that does not
    /// authenticate: as after many a crash, but never after an end in order.
    static func refuseLostCommits(
        _ replay: LogReplay, _ head: Head, _ strays: Strays, _ storage: any BlobStorage, _ keys: KeyHierarchy, _ options: LogOptions
    ) throws(Failure) {
        if options.acceptsRollback { return }
        if try storage.readSmallFile(damageFileName, limitBytes: 64 << 10) != nil {
            throw lostCommits(storage, "\(storage.name)/\(damageFileName)")
        }
        guard replay.rest != .nothing, !head.isClean || replay.mark != head.mark else { return }
        var found: [BlobID] = []
        try storage.listBlobs { if strays.isStray($0) { found.append($0) } }
        if let lost = try lostCommits(among: found, beyond: replay.mark.generation, storage, keys) { throw lost }
    }

    /// The failure to tell of, if one of the blobs is a segment that knows of a later commit than `generation`.
    static func lostCommits(
        among blobs: [BlobID], beyond generation: UInt64, _ storage: any BlobStorage, _ keys: KeyHierarchy
    ) throws(Failure) -> Failure? {
        for id in blobs {
            guard let opening = try opening(of: id, storage, keys), opening.writer == 0 else { continue }
            if opening.previousGeneration > generation { return lostCommits(storage, "\(storage.name): segment \(id)") }
        }
        return nil
    }

    private static func lostCommits(_ storage: any BlobStorage, _ object: String) -> Failure {
        Failure(
            .damaged, "commits that were acknowledged are not in the log any more", object: object,
            hint: "restore the volume's newest segments from a backup, or give up what is lost and open it with --accept-rollback")
    }

    /// What a segment's first frame says; nil if the blob is no segment, or not of this volume.
    private static func opening(of id: BlobID, _ storage: any BlobStorage, _ keys: KeyHierarchy) throws(Failure) -> SegmentOpening? {
        let blob: any ReadableBlob
        do { blob = try storage.openBlob(id) } catch  where error.kind == .missing { return nil }
        let reader = SegmentReader(blobID: id, blob: blob, cipher: keys.cipher(for: .segment, high: id.high, low: id.low))
        guard let header = try reader.header(at: 0, frame: 0), header.kind == .opening,
            let payload = try reader.payload(of: header, at: 0, frame: 0)
        else { return nil }
        return payload.withUnsafeBytes { SegmentOpening(decoding: $0) }
    }
}
