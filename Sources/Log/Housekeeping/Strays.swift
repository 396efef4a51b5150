import BlobStorage
import Synchronization
import Syscalls
import Tables

/// Blobs that an earlier session left behind which did not close: made but never named by a checkpoint, or named only by one that no head
/// leads to any more. Finding them takes a listing of the whole storage, so it is done once a session, in the background.
final class Strays: Sendable {
    private struct State {
        /// What the checkpoint and the log say that were found at the opening.
        var named: Set<BlobID>
        /// What this session made, as long as that matters. A blob is noted here before it is made.
        var made: Set<BlobID> = []
        var isDone = false
    }

    private let state: Mutex<State>

    init(named: Set<BlobID> = []) { state = Mutex(State(named: named)) }

    func name(_ ids: [BlobID]) { state.withLock { $0.named.formUnion(ids) } }

    func didMake(_ id: BlobID) {
        state.withLock { if !$0.isDone { $0.made.insert(id) } }
    }

    var isDone: Bool { state.withLock { $0.isDone } }

    func isStray(_ id: BlobID) -> Bool { state.withLock { !$0.isDone && !$0.named.contains(id) && !$0.made.contains(id) } }

    func finish() {
        state.withLock { state in
            state.isDone = true
            state.named = []
            state.made = []
        }
    }
}

extension VolumeLog {
    /// Deletes what neither of the two newest checkpoints names nor this session made. Once this session has begun these are the checkpoint
    /// that was found and the first of this session, which names less than that and blobs of its own.
    func clearStrays() throws(Failure) {
        if strays.isDone { return }
        precondition(hasSession.load(ordering: .acquiring), "the older of the heads may still name what looks like a stray")
        defer { strays.finish() }
        let found = try findStrays()
        if !options.acceptsRollback, let lost = try Self.lostCommits(among: found, beyond: recoveredGeneration, storage, keys) {
            // Whoever repairs this needs all of it: what stands in the torn tail, and the blobs that nothing leads to.
            try storage.replaceSmallFile(Self.damageFileName, with: Array("\(lost)\n".utf8))
            throw lost
        }
        if let torn = tornTail {
            // What follows the last commit there was never acknowledged.
            do { try storage.truncateBlob(torn.blob, to: torn.offset) } catch  where error.kind == .missing {}
        }
        for id in found {
            do { try storage.deleteBlob(id) } catch  where error.kind == .missing { continue }
        }
        if options.acceptsRollback {
            do { try storage.deleteSmallFile(Self.damageFileName) } catch  where error.kind == .missing {}
        }
    }

    private func findStrays() throws(Failure) -> [BlobID] {
        var found: [BlobID] = []
        try storage.listBlobs { (id) throws(Failure) in
            if cleaner.isDismissed { throw Failure(.interrupted, "the volume is being closed") }
            if strays.isStray(id) { found.append(id) }
        }
        return found
    }
}
