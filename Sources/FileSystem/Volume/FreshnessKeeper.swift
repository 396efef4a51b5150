import KeyManagement
import Log
import Sealing
import Syscalls

/// Compares a volume with what this machine saw of it last, so that storage that gives back an older state, or one with another history, is
/// found out. See docs/THREAT_MODEL.md.
final class FreshnessKeeper: Sendable {
    private let store: FreshnessStore
    private let header: VolumeHeader
    private let options: VolumeOptions
    private let path: String
    private let newestRevision: @Sendable () -> UInt64

    /// `newestRevision` gives the newest revision of the header that was seen since, if the volume stays open.
    init(
        header: VolumeHeader, options: VolumeOptions, path: String, newestRevision: @escaping @Sendable () -> UInt64 = { 0 }
    ) throws(Failure) {
        self.newestRevision = newestRevision
        if let directory = options.stateDirectory { store = FreshnessStore(directory: directory) } else { store = try .standard() }
        self.header = header
        self.options = options
        self.path = path
    }

    /// Throws `.rolledBack` if the volume's history does not lead on from what was seen last.
    func judge(_ history: LogHistory) throws(Failure) {
        if options.acceptsRollback { return }
        if let expected = options.expectedGeneration, history.mark.generation < expected {
            throw refusal("is at generation \(history.mark.generation), and \(expected) was expected")
        }
        if header.revision < history.headerRevision {
            throw refusal("has an older header than its newest checkpoint: an old password may have been put back")
        }
        guard let seen = try store.load(volumeID: header.volumeID) else { return }
        if header.revision < seen.headerRevision {
            throw refusal("has an older header than was last seen here: an old password may have been put back")
        }
        // A machine that has only changed the password has seen no commit.
        if seen.durable.generation == 0 { return }
        if history.mark.generation < seen.durable.generation { throw lost(history, seen) }
        try judgeCheckpoints(history, seen)
        if let same = history.replayed.first(where: { $0.generation == seen.durable.generation }), same.digest != seen.durable.digest {
            throw otherHistory(seen.durable.generation)
        }
    }

    /// Something that was on stable storage is not there.
    private func lost(_ history: LogHistory, _ seen: FreshnessState) -> Failure {
        let what = "generation \(history.mark.generation), seen \(seen.durable.generation)"
        let object: String
        switch history.rest {
        case .nothing: return refusal("is older than it was when last seen here (\(what))")
        case .unreadable(let blob, let offset): object = "\(path): segment \(blob), from byte \(offset) on"
        case .missingSegment(let blob): object = "\(path): segment \(blob)"
        }
        return Failure(
            .damaged, "commits that were acknowledged are missing or do not authenticate (\(what))", object: object,
            hint: "restore this blob from a backup, or give up what follows and open the volume with --accept-rollback")
    }

    /// The checkpoint that was seen must be one of the volume's. Between it and the newest commit that was seen there was no other, and
    /// whoever goes on from somewhere in between begins with one.
    private func judgeCheckpoints(_ history: LogHistory, _ seen: FreshnessState) throws(Failure) {
        let from = CommitMark(generation: seen.checkpoint.generation, digest: seen.checkpoint.digest)
        let to = seen.durable
        for known in history.checkpoints {
            let isOther =
                known.generation == from.generation && known.digest != from.digest
                || known.generation == to.generation && known.digest != to.digest
                || known.generation > from.generation && known.generation < to.generation
            if isOther { throw otherHistory(known.generation) }
        }
        // Older than all that the volume still remembers of itself is its past; in between there must have been a match.
        if let oldest = history.checkpoints.first, from.generation > oldest.generation,
            !(history.checkpoints + history.replayed).contains(from)
        {
            throw refusal("has another history than when last seen here: generation \(from.generation) is not part of it")
        }
    }

    private func otherHistory(_ generation: UInt64) -> Failure {
        refusal("has another history than when last seen here, from generation \(generation) on")
    }

    private func refusal(_ what: String) -> Failure {
        Failure(
            .rolledBack, what, object: path,
            hint: "if you restored a backup on purpose, or synced an older copy, open it with --accept-rollback")
    }

    /// Only what is known to be on stable storage: a crash must not bring back less.
    func remember(_ state: DurableState) throws(Failure) {
        try store.update(volumeID: header.volumeID) { seen in
            FreshnessState(
                durable: .init(generation: state.mark.generation, digest: state.mark.digest),
                checkpoint: .init(generation: state.checkpoint.generation, digest: state.checkpoint.digest),
                // The password may have been changed since this process opened the volume.
                headerRevision: max(header.revision, newestRevision(), seen?.headerRevision ?? 0))
        }
    }

    func rememberQuietly(_ state: DurableState, _ report: (String) -> Void) {
        do throws(Failure) {
            try remember(state)
            options.didRemember(state.mark.generation)
        } catch { report("cannot remember the volume's state: \(error)") }
    }

    /// After the password was changed: the older header is no longer good here, also if this machine has seen nothing else of the volume.
    func rememberHeader() throws(Failure) {
        try store.update(volumeID: header.volumeID) { seen in
            var state = seen ?? .headerOnly(revision: header.revision)
            state.headerRevision = max(state.headerRevision, header.revision)
            return state
        }
    }

    /// The header was accepted although a newer one had been seen: it is the truth from now on.
    func acceptHeader() throws(Failure) {
        try store.update(volumeID: header.volumeID) { seen in
            seen.map { FreshnessState(durable: $0.durable, checkpoint: $0.checkpoint, headerRevision: header.revision) }
        }
    }
}
