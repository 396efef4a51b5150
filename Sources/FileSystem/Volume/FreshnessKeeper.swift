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

    init(header: VolumeHeader, options: VolumeOptions, path: String) throws(Failure) {
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
        if history.mark.generation < seen.generation {
            throw refusal("is older than it was when last seen here (generation \(history.mark.generation), seen \(seen.generation))")
        }
        let known = history.ancestors + [history.mark]
        if let same = known.first(where: { $0.generation == seen.generation }) {
            if same.digest != seen.digest {
                throw refusal("has another history than when last seen here, from generation \(seen.generation) on")
            }
            return
        }
        // Older than all that the volume still remembers of itself is its past; in between there must have been a match.
        if let oldest = known.map(\.generation).min(), seen.generation > oldest {
            throw refusal("has another history than when last seen here: generation \(seen.generation) is not part of it")
        }
    }

    private func refusal(_ what: String) -> Failure {
        Failure(
            .rolledBack, what, object: path,
            hint: "if you restored a backup on purpose, or synced an older copy, open it with --accept-rollback")
    }

    func remember(_ mark: CommitMark) throws(Failure) {
        // The password may have been changed since this process opened the volume.
        let revision = max(header.revision, try store.load(volumeID: header.volumeID)?.headerRevision ?? 0)
        try store.store(
            FreshnessState(generation: mark.generation, digest: mark.digest, headerRevision: revision), volumeID: header.volumeID)
    }

    func rememberQuietly(_ mark: CommitMark, _ report: (String) -> Void) {
        do throws(Failure) { try remember(mark) } catch { report("cannot remember the volume's state: \(error)") }
    }

    /// After the password was changed: the older header is no longer good here.
    func rememberHeader() throws(Failure) {
        guard var seen = try store.load(volumeID: header.volumeID) else { return }
        seen.headerRevision = max(seen.headerRevision, header.revision)
        try store.store(seen, volumeID: header.volumeID)
    }
}
