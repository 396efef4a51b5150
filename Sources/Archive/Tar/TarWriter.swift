import CArchive
import FileSystem
import Glibc
public import Syscalls

/// Writes a tar archive (POSIX.1-2001, pax) with libarchive: names of any bytes, times to the nanosecond, extended attributes
/// (`SCHILY.xattr`, which GNU tar and bsdtar read), sparse files. Memory: one record, and what libarchive keeps of an entry.
public final class TarWriter {
    /// tar's usual record of 10 KiB, six of them at a time.
    private static let recordSizeBytes: Int32 = 10_240
    private static let holeSizeBytes = 1 << 28

    private let output: any ByteSink
    private let archive: OpaquePointer
    private let entry: OpaquePointer
    /// Why the output failed, for libarchive knows only that it did.
    private var failure: Failure?
    /// Address space that is never written, for holes: libarchive wants to be given their zeros.
    private var hole: UnsafeRawBufferPointer?
    private var path: [UInt8] = []

    public init(_ output: any ByteSink) throws(Failure) {
        guard let archive = archive_write_new(), let entry = archive_entry_new() else {
            throw Failure(.notPermitted, "not enough memory to write an archive")
        }
        self.output = output
        self.archive = archive
        self.entry = entry
        archive_write_set_format_pax(archive)
        archive_write_add_filter_none(archive)
        archive_write_set_bytes_per_block(archive, 6 * Self.recordSizeBytes)
        archive_write_set_bytes_in_last_block(archive, Self.recordSizeBytes)
        try check(archive_write_set_format_option(archive, nil, "xattrheader", "SCHILY"))
        // Unretained: the archive is freed in `deinit`.
        let opened = archive_write_open2(
            archive, Unmanaged.passUnretained(self).toOpaque(), nil,
            { _, context, bytes, count in
                let writer = Unmanaged<TarWriter>.fromOpaque(context!).takeUnretainedValue()
                return writer.put(UnsafeRawBufferPointer(start: bytes, count: count))
            }, nil, nil)
        try check(opened)
    }

    deinit {
        // A failed archive is not closed: what is left in its buffer must not be written.
        archive_write_fail(archive)
        archive_write_free(archive)
        archive_entry_free(entry)
        if let hole { munmap(UnsafeMutableRawPointer(mutating: hole.baseAddress!), hole.count) }
    }

    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        if failure != nil { return -1 }
        do throws(Failure) {
            try output.write(bytes)
            return bytes.count
        } catch {
            failure = error
            return -1
        }
    }

    /// Begins an entry. For a regular file its content follows.
    public func begin(_ source: ArchiveEntry) throws(Failure) {
        path = source.path
        archive_entry_clear(entry)
        fill(from: source)
        try check(TarLocale.run { archive_write_header(archive, entry) })
    }

    /// The next bytes of the file's data, without those of its holes.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            let count = archive_write_data(archive, rest.baseAddress, rest.count)
            if count < 0 { try check(Int32(count)) }
            guard count > 0 else { throw Failure(.inputOutput, "the file gave more than it had", object: ArchiveEntry.display(path)) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// The next bytes of the file are a hole.
    public func skip(_ count: UInt64) throws(Failure) {
        if count == 0 { return }
        if hole == nil { hole = try mapHole() }
        guard let zeros = hole else { return }
        var rest = count
        while rest > 0 {
            let portion = min(rest, UInt64(zeros.count))
            try write(UnsafeRawBufferPointer(rebasing: zeros[..<Int(portion)]))
            rest -= portion
        }
    }

    private func mapHole() throws(Failure) -> UnsafeRawBufferPointer {
        guard let memory = mmap(nil, Self.holeSizeBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            memory != MAP_FAILED
        else { throw Failure(.notPermitted, "not enough memory for a sparse file", object: ArchiveEntry.display(path)) }
        return UnsafeRawBufferPointer(start: memory, count: Self.holeSizeBytes)
    }

    /// Ends the archive and the stages behind it.
    public func finish() throws(Failure) {
        try check(archive_write_close(archive))
        try output.finish()
    }

    private func check(_ result: Int32) throws(Failure) {
        if let failure { throw failure }
        // A warning says that a name is not UTF-8: then it is written as it is, and marked.
        guard result < ARCHIVE_WARN else { return }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "libarchive failed"
        throw Failure(.inputOutput, "cannot be put into a tar archive: \(text)", object: ArchiveEntry.display(path))
    }
}

extension TarWriter {
    private func fill(from source: ArchiveEntry) {
        var name = source.path.isEmpty ? Array(".".utf8) : source.path
        // A directory ends in a slash, as everybody writes it.
        if source.isDirectory { name.append(UInt8(ascii: "/")) }
        Self.withCString(name) { archive_entry_copy_pathname(entry, $0) }
        archive_entry_set_perm(entry, source.permissions)
        archive_entry_set_uid(entry, Int64(source.uid))
        archive_entry_set_gid(entry, Int64(source.gid))
        if let time = source.modificationTime { archive_entry_set_mtime(entry, Int(time.seconds), Int(time.nanoseconds)) }
        if let time = source.accessTime { archive_entry_set_atime(entry, Int(time.seconds), Int(time.nanoseconds)) }
        for attribute in source.extendedAttributes where !TarACL.add(attribute, to: entry) {
            Self.withCString(attribute.name) { archive_entry_xattr_add_entry(entry, $0, attribute.value, attribute.value.count) }
        }
        setKind(source.kind)
    }

    private func setKind(_ kind: ArchiveEntry.Kind) {
        switch kind {
        case .regular(let size, let ranges):
            archive_entry_set_filetype(entry, S_IFREG)
            archive_entry_set_size(entry, Int64(clamping: size))
            guard let ranges else { return }
            for range in ranges { archive_entry_sparse_add_entry(entry, Int64(clamping: range.lowerBound), Int64(clamping: range.count)) }
            // All of it is a hole.
            if ranges.isEmpty, size > 0 { archive_entry_sparse_add_entry(entry, 0, 0) }
        case .directory: archive_entry_set_filetype(entry, S_IFDIR)
        case .symbolicLink(let target):
            archive_entry_set_filetype(entry, S_IFLNK)
            Self.withCString(target) { archive_entry_copy_symlink(entry, $0) }
        case .hardLink(let path):
            archive_entry_set_filetype(entry, S_IFREG)
            Self.withCString(path) { archive_entry_copy_hardlink(entry, $0) }
        case .characterDevice(let major, let minor):
            archive_entry_set_filetype(entry, S_IFCHR)
            archive_entry_set_rdevmajor(entry, dev_t(major))
            archive_entry_set_rdevminor(entry, dev_t(minor))
        case .blockDevice(let major, let minor):
            archive_entry_set_filetype(entry, S_IFBLK)
            archive_entry_set_rdevmajor(entry, dev_t(major))
            archive_entry_set_rdevminor(entry, dev_t(minor))
        case .fifo: archive_entry_set_filetype(entry, S_IFIFO)
        }
    }

    private static func withCString(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Void) {
        (bytes + [0]).withUnsafeBytes { body($0.assumingMemoryBound(to: CChar.self).baseAddress!) }
    }
}
