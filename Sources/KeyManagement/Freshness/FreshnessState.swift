public import Sealing

/// The newest state of a volume that was seen durable on this machine. Kept outside the volume, so that whoever holds the
/// volume's storage cannot show an older state of it unnoticed.
public struct FreshnessState: Hashable, Sendable {
    /// A commit. Another digest at the same generation is another history.
    public struct Mark: Hashable, Sendable {
        public var generation: UInt64
        public var digest: Digest32

        public init(generation: UInt64, digest: Digest32) {
            self.generation = generation
            self.digest = digest
        }
    }

    /// The last commit that was on stable storage. Generation 0: none was seen, only the header.
    public var durable: Mark
    /// The last checkpoint at or before it, which the volume itself remembers for long.
    public var checkpoint: Mark
    /// The header's: an older one could bring an old password back.
    public var headerRevision: UInt64

    public init(durable: Mark, checkpoint: Mark, headerRevision: UInt64) {
        self.durable = durable
        self.checkpoint = checkpoint
        self.headerRevision = headerRevision
    }

    /// Of a volume of which this machine has seen the header alone.
    public static func headerOnly(revision: UInt64) -> FreshnessState {
        let nothing = Mark(generation: 0, digest: .zero)
        return FreshnessState(durable: nothing, checkpoint: nothing, headerRevision: revision)
    }
}

extension FreshnessState {
    /// Lines of text, so that a user can look at it; the last one is a checksum over the others, which tells a file that a
    /// power cut tore.
    func encoded(volumeID: [UInt8]) -> [UInt8] {
        let text = """
            efs freshness 2
            volume \(Hexadecimal.encode(volumeID))
            generation \(durable.generation)
            digest \(durable.digest)
            checkpoint-generation \(checkpoint.generation)
            checkpoint-digest \(checkpoint.digest)
            header-revision \(headerRevision)

            """
        return Array(text.utf8) + Array("checksum \(DigestHasher.digest(of: Array(text.utf8)))\n".utf8)
    }

    /// Nil for anything but what `encoded` makes for that volume.
    init?(encoded bytes: [UInt8], volumeID: [UInt8]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard lines.count == 9, let durable = Mark(lines[2], "generation", lines[3], "digest"),
            let checkpoint = Mark(lines[4], "checkpoint-generation", lines[5], "checkpoint-digest"),
            let headerRevision = value(of: "header-revision", in: lines[6]).flatMap({ UInt64($0) })
        else { return nil }
        self.init(durable: durable, checkpoint: checkpoint, headerRevision: headerRevision)
        // Compared as a whole: one encoding for one state.
        guard encoded(volumeID: volumeID) == bytes else { return nil }
    }
}

extension FreshnessState.Mark {
    fileprivate init?(_ generationLine: String, _ generationName: String, _ digestLine: String, _ digestName: String) {
        guard let generation = value(of: generationName, in: generationLine).flatMap({ UInt64($0) }),
            let digest = value(of: digestName, in: digestLine).flatMap({ Hexadecimal.decode($0) }).flatMap({ Digest32($0) })
        else { return nil }
        self.init(generation: generation, digest: digest)
    }
}

private func value(of name: String, in line: String) -> Substring? {
    line.hasPrefix(name + " ") ? line.dropFirst(name.count + 1) : nil
}
