public import Sealing

/// The newest state of a volume that was seen durable on this machine. Kept outside the volume, so that whoever holds the
/// volume's storage cannot show an older state of it unnoticed.
public struct FreshnessState: Hashable, Sendable {
    /// Of the last commit that was on stable storage.
    public var generation: UInt64
    /// That commit's digest: another one of the same generation is another history.
    public var digest: Digest32
    /// The header's: an older one could bring an old password back.
    public var headerRevision: UInt64

    public init(generation: UInt64, digest: Digest32, headerRevision: UInt64) {
        self.generation = generation
        self.digest = digest
        self.headerRevision = headerRevision
    }
}

extension FreshnessState {
    /// Lines of text, so that a user can look at it; the last one is a checksum over the others, which tells a file that a
    /// power cut tore.
    func encoded(volumeID: [UInt8]) -> [UInt8] {
        let text = """
            efs freshness 1
            volume \(Hexadecimal.encode(volumeID))
            generation \(generation)
            digest \(digest)
            header-revision \(headerRevision)

            """
        return Array(text.utf8) + Array("checksum \(DigestHasher.digest(of: Array(text.utf8)))\n".utf8)
    }

    /// Nil for anything but what `encoded` makes for that volume.
    init?(encoded bytes: [UInt8], volumeID: [UInt8]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard lines.count == 7, let generation = Self.value(lines[2], "generation").flatMap({ UInt64($0) }),
            let digest = Self.value(lines[3], "digest").flatMap({ Hexadecimal.decode($0) }).flatMap({ Digest32($0) }),
            let headerRevision = Self.value(lines[4], "header-revision").flatMap({ UInt64($0) })
        else { return nil }
        self.init(generation: generation, digest: digest, headerRevision: headerRevision)
        // Compared as a whole: one encoding for one state.
        guard encoded(volumeID: volumeID) == bytes else { return nil }
    }

    private static func value(_ line: String, _ name: String) -> Substring? {
        line.hasPrefix(name + " ") ? line.dropFirst(name.count + 1) : nil
    }
}
