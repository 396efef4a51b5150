package import BlobStorage
import Records
import Sealing
package import Syscalls

/// What a copy of a volume is made of while the volume goes on: a state as some commit made it, in blobs that do not change any more.
package struct CopyPlan: Sendable {
    /// The head's file, naming a checkpoint that all of `blobs` go with.
    package var headName: String
    package var head: [UInt8]
    package var blobs: [BlobID]
    /// The segment that is still written to counts up to here; nil if this session has written nothing.
    package var end: LogPosition?
    package var mark: CommitMark
}

extension VolumeLog {
    /// Keeps blobs that no checkpoint names any more until `releaseDeletions`, so that they can be copied in peace. Counts.
    package func holdDeletions() { commitLock.withLock { deletionHolds += 1 } }

    package func releaseDeletions() { commitLock.withLock { deletionHolds -= 1 } }

    /// Makes everything durable and says what a copy of just that is made of. The caller holds deletions from before until it has copied.
    ///
    /// The head is read when its checkpoint is the newest one and no other can come in between. What it names was listed; what was written
    /// since is in segments that this log knows by number, up to the end of a commit whose frames are all written. Behind that end others
    /// write on, so a copy that takes the last segment up to there is as after a crash right then.
    package func planCopy() throws(Failure) -> CopyPlan {
        try checkpointLock.withLock { () throws(Failure) in
            try makeCheckpoint(isClean: false)
            var blobs = Set<BlobID>()
            try storage.listBlobs { blobs.insert($0) }
            return try commitLock.withLock { () throws(Failure) in
                try commit()
                let name = HeadFile.name(writer: writer)
                guard let head = try storage.readSmallFile(name, limitBytes: 2 * HeadFile.slotSizeBytes) else {
                    throw Failure(.damaged, "is not there", object: "\(storage.name)/\(name)")
                }
                let end = tail.commitEnd
                for facts in changes.withLock({ segments.facts.values }) {
                    if facts.number <= end?.segment ?? .max { blobs.insert(facts.blob) } else { blobs.remove(facts.blob) }
                }
                return CopyPlan(headName: name, head: head, blobs: Array(blobs), end: end, mark: durableMark)
            }
        }
    }
}
