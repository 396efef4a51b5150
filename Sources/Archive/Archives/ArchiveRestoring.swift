public import Syscalls

/// Takes a tree out of an archive: all of it, or, if anything fails, nothing.
public enum ArchiveRestoring {
    /// Fails with `.wrongPassword`, `.damaged`, `.newerFormat`, `.alreadyExists` (a name of the archive is there already) ….
    public static func restore(
        _ input: ArchiveInput, with opening: ArchiveOpening, into store: some TreeStore
    ) throws(Failure) -> ArchiveCounts {
        // Whatever can be refused before something is written is.
        let reader = try TarReader(try input.tar(opening))
        let restorer = try TreeRestorer(store)
        do throws(Failure) {
            let counts = try copy(reader, restorer)
            try restorer.commit()
            return counts
        } catch {
            restorer.abort()
            throw error
        }
    }

    private static func copy(_ reader: TarReader, _ restorer: TreeRestorer<some TreeStore>) throws(Failure) -> ArchiveCounts {
        var counts = ArchiveCounts()
        var gathered = GatheredWrites()
        while let entry = try reader.next() {
            counts.entries += 1
            try restorer.add(entry)
            guard case .regular = entry.kind else { continue }
            while let (offset, bytes) = try reader.readData() {
                counts.bytes += UInt64(bytes.count)
                try gathered.add(bytes, at: offset) { (bytes, offset) throws(Failure) in try restorer.write(bytes, at: offset) }
            }
            try gathered.flush { (bytes, offset) throws(Failure) in try restorer.write(bytes, at: offset) }
        }
        return counts
    }
}

/// Joins small pieces that follow each other into writes of a MiB, which volumes like best.
private struct GatheredWrites {
    private let buffer = StageBuffer(count: 1 << 20)
    private var count = 0
    private var offset: UInt64 = 0

    typealias Write = (UnsafeRawBufferPointer, UInt64) throws(Failure) -> Void

    mutating func add(_ bytes: UnsafeRawBufferPointer, at start: UInt64, _ write: Write) throws(Failure) {
        if start != offset + UInt64(count) { try flush(write) }
        var rest = bytes
        while !rest.isEmpty {
            if count == buffer.count { try flush(write) }
            if count == 0 { offset = start + UInt64(bytes.count - rest.count) }
            let portion = min(rest.count, buffer.count - count)
            buffer[count..<count + portion].copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<portion]))
            count += portion
            rest = UnsafeRawBufferPointer(rebasing: rest[portion...])
        }
    }

    mutating func flush(_ write: Write) throws(Failure) {
        if count > 0 { try write(UnsafeRawBufferPointer(buffer[0..<count]), offset) }
        count = 0
    }
}
