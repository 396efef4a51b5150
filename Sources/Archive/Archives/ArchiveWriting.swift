public import Sealing
public import Syscalls

/// What an archive is sealed with.
public enum ArchiveSealing: Sendable {
    case none
    case password(SecretBytes)
    /// age alone has these.
    case recipients([AgeRecipient])
}

/// What was put into an archive, or taken out of it.
public struct ArchiveCounts: Sendable, Equatable {
    public var entries = 0
    /// Of files' content, without holes.
    public var bytes: UInt64 = 0
}

/// Puts a tree into an archive. Memory is bounded but for what `TreeSource` says of its kinds.
public struct ArchiveWriting {
    private let format: ArchiveFormat
    private let sealing: ArchiveSealing
    private let report: (String) -> Void
    private let progress: (ArchiveCounts) throws(Failure) -> Void

    /// - Parameters:
    ///   - report: told in one line of each file that is not in the archive as it is in the tree.
    ///   - progress: told often; may stop the work by throwing.
    public init(
        format: ArchiveFormat, sealing: ArchiveSealing, report: @escaping (String) -> Void,
        progress: @escaping (ArchiveCounts) throws(Failure) -> Void = { _ in }
    ) {
        self.format = format
        self.sealing = sealing
        self.report = report
        self.progress = progress
    }

    /// Writes all of it, and finishes `output`.
    public func write(_ source: some TreeSource, to output: any ByteSink) throws(Failure) -> ArchiveCounts {
        let writer = try TarWriter(try stages(output))
        let buffer = StageBuffer(count: 1 << 20)
        var counts = ArchiveCounts()
        while let entry = try source.next() {
            counts.entries += 1
            try progress(counts)
            try writer.begin(withoutUnwritable(entry))
            if case .regular(let size, let ranges) = entry.kind {
                try copy(entry, size, ranges ?? [0..<size], source, writer, buffer, &counts)
            }
        }
        try writer.finish()
        return counts
    }

    /// pax ends an attribute's name at the first "=".
    private func withoutUnwritable(_ entry: ArchiveEntry) -> ArchiveEntry {
        var entry = entry
        entry.extendedAttributes.removeAll { attribute in
            guard attribute.name.contains(UInt8(ascii: "=")) else { return false }
            let name = ArchiveEntry.display(attribute.name)
            report("\(ArchiveEntry.display(entry.path)): left out: a tar archive cannot hold an extended attribute named \(name)")
            return true
        }
        return entry
    }

    private func stages(_ output: any ByteSink) throws(Failure) -> any ByteSink {
        let sealed: any ByteSink
        switch (format.encryption, sealing) {
        case (.none, .none): sealed = output
        case (.aesCrypt, .password(let password)): sealed = try AESCryptSink(output, password: password)
        case (.age, .password(let password)): sealed = try AgeSink(output, to: .password(password))
        case (.age, .recipients(let recipients)): sealed = try AgeSink(output, to: .recipients(recipients))
        case (.aesCrypt, .recipients): throw Failure(.usage, "an .aes archive has a password, no recipients", hint: "name the archive .age")
        case (.none, _):
            throw Failure(.usage, "the archive's name does not ask for encryption", hint: "let it end in .aes or .age")
        case (_, .none): throw Failure(.usage, "an encrypted archive needs a password")
        }
        switch format.compression {
        case .none: return sealed
        case .gzip: return GzipSink(sealed)
        case .zstd: return ZstdSink(sealed)
        }
    }

    private func copy(
        _ entry: ArchiveEntry, _ size: UInt64, _ ranges: [Range<UInt64>], _ source: some TreeSource, _ writer: TarWriter,
        _ buffer: StageBuffer, _ counts: inout ArchiveCounts
    ) throws(Failure) {
        var position: UInt64 = 0
        var isCut = false
        for range in ranges {
            try writer.skip(range.lowerBound - position)
            position = range.lowerBound
            while position < range.upperBound {
                let count = Int(min(range.upperBound - position, UInt64(buffer.count)))
                let got = isCut ? 0 : try source.read(at: position, into: buffer[0..<count])
                if got < count {
                    isCut = true
                    // The archive has promised that many bytes.
                    for index in got..<count { buffer.bytes[index] = 0 }
                }
                try writer.write(UnsafeRawBufferPointer(buffer[0..<count]))
                position += UInt64(count)
                counts.bytes += UInt64(count)
                try progress(counts)
            }
        }
        try writer.skip(size - position)
        if isCut { report("\(ArchiveEntry.display(entry.path)): became shorter while it was read; the archive has zeros there") }
    }
}
