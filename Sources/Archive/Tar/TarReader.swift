import CArchive
import FileSystem
import Glibc
public import Syscalls

/// Reads a tar archive (pax, GNU, ustar, v7) with libarchive. Memory: one block, and what libarchive keeps of an entry.
///
/// Beyond what libarchive checks, the archive must have its end mark, be whole blocks long, and hold nothing but zeros behind the
/// mark: so that no archive that was cut, or that has a second one behind it, passes for whole. Fails with `.damaged`.
public final class TarReader {
    private static let blockSizeBytes: UInt64 = 512

    private let input: any ByteSource
    private let archive: OpaquePointer
    private let buffer = StageBuffer(count: 256 << 10)
    private var failure: Failure?
    private var bytesRead: UInt64 = 0
    /// How many bytes at the end of what was read so far are zero.
    private var trailingZeros: UInt64 = 0
    private var isInEntry = false

    public init(_ input: any ByteSource) throws(Failure) {
        guard let archive = archive_read_new() else { throw Failure(.notPermitted, "not enough memory to read an archive") }
        self.input = input
        self.archive = archive
        archive_read_support_format_tar(archive)
        // Unretained: the archive is freed in `deinit`.
        let opened = archive_read_open(
            archive, Unmanaged.passUnretained(self).toOpaque(), nil,
            { _, context, block in
                let reader = Unmanaged<TarReader>.fromOpaque(context!).takeUnretainedValue()
                block!.pointee = UnsafeRawPointer(reader.buffer.bytes.baseAddress!)
                return reader.fill()
            }, nil)
        try check(opened)
    }

    deinit { archive_read_free(archive) }

    private func fill() -> Int {
        if failure != nil { return -1 }
        do throws(Failure) {
            let count = try input.read(into: buffer.bytes)
            note(buffer[0..<count])
            return count
        } catch {
            failure = error
            return -1
        }
    }

    private func note(_ bytes: UnsafeMutableRawBufferPointer) {
        bytesRead += UInt64(bytes.count)
        if let last = bytes.lastIndex(where: { $0 != 0 }) {
            trailingZeros = UInt64(bytes.count - 1 - last)
        } else {
            trailingZeros += UInt64(bytes.count)
        }
    }

    /// The next entry. Nil at the end, when all of the input has been read and verified.
    public func next() throws(Failure) -> ArchiveEntry? {
        if isInEntry { try check(archive_read_data_skip(archive), endIsFine: true) }
        let start = UInt64(clamping: archive_filter_bytes(archive, 0))
        var entry: OpaquePointer?
        let result = TarLocale.run { archive_read_next_header(archive, &entry) }
        if result == ARCHIVE_EOF {
            try checkEnd(from: start)
            return nil
        }
        try check(result)
        guard let entry else { throw Failure(.damaged, "the archive is damaged: an entry cannot be read") }
        isInEntry = true
        return try TarLocale.run { Result { () throws(Failure) in try Self.convert(entry) } }.get()
    }

    /// A run of the file's data: its offset and bytes, which are valid until the next call. Nil at the file's end. Holes are left out.
    public func readData() throws(Failure) -> (offset: UInt64, bytes: UnsafeRawBufferPointer)? {
        var bytes: UnsafeRawPointer?
        var count = 0
        var offset: Int64 = 0
        let result = archive_read_data_block(archive, &bytes, &count, &offset)
        if result == ARCHIVE_EOF { return nil }
        try check(result)
        guard offset >= 0 else { throw Failure(.damaged, "the archive is damaged: a file's map of holes does not hold together") }
        return (UInt64(offset), UnsafeRawBufferPointer(start: bytes, count: count))
    }

    private func checkEnd(from start: UInt64) throws(Failure) {
        if let failure { throw failure }
        while true {
            let count = fill()
            if let failure { throw failure }
            if count == 0 { break }
        }
        guard bytesRead % Self.blockSizeBytes == 0, bytesRead >= start + 2 * Self.blockSizeBytes else {
            throw Failure(.damaged, "the archive is damaged: it is not whole")
        }
        guard trailingZeros >= bytesRead - start else {
            throw Failure(.damaged, "the archive is damaged: something follows its end")
        }
    }

    private func check(_ result: Int32, endIsFine: Bool = false) throws(Failure) {
        if let failure { throw failure }
        if result == ARCHIVE_OK || endIsFine && result == ARCHIVE_EOF { return }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "it cannot be read"
        throw Failure(.damaged, "the archive is damaged, or is no tar archive: \(text)")
    }
}

extension TarReader {
    private static func convert(_ entry: OpaquePointer) throws(Failure) -> ArchiveEntry {
        guard let name = archive_entry_pathname(entry).map(bytes) else {
            throw Failure(.damaged, "the archive is damaged: a name cannot be read")
        }
        let path = try path(name, of: name)
        var result = ArchiveEntry(path: path, kind: try kind(of: entry, path))
        result.permissions = UInt32(archive_entry_perm(entry)) & Mode.permissionMask
        // Numbers that do not fit belong to nobody.
        result.uid = UInt32(exactly: archive_entry_uid(entry)) ?? 65_534
        result.gid = UInt32(exactly: archive_entry_gid(entry)) ?? 65_534
        if archive_entry_mtime_is_set(entry) != 0 {
            result.modificationTime = Timestamp(
                seconds: Int64(archive_entry_mtime(entry)), nanoseconds: UInt32(clamping: archive_entry_mtime_nsec(entry)))
        }
        if archive_entry_atime_is_set(entry) != 0 {
            result.accessTime = Timestamp(
                seconds: Int64(archive_entry_atime(entry)), nanoseconds: UInt32(clamping: archive_entry_atime_nsec(entry)))
        }
        result.extendedAttributes = extendedAttributes(of: entry)
        return result
    }

    private static func kind(of entry: OpaquePointer, _ path: [UInt8]) throws(Failure) -> ArchiveEntry.Kind {
        if let target = archive_entry_hardlink(entry).map(bytes) { return .hardLink(path: try Self.path(target, of: path)) }
        switch archive_entry_filetype(entry) {
        case S_IFREG: return .regular(sizeBytes: UInt64(max(0, archive_entry_size(entry))), dataRanges: nil)
        case S_IFDIR: return .directory
        case S_IFLNK:
            guard let target = archive_entry_symlink(entry).map(bytes), !target.isEmpty else { break }
            return .symbolicLink(target: target)
        case S_IFCHR:
            return .characterDevice(
                major: UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
                minor: UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
        case S_IFBLK:
            return .blockDevice(
                major: UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
                minor: UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
        case S_IFIFO: return .fifo
        default: break
        }
        throw Failure(
            .damaged, "the archive holds something that is no file, directory, link or device", object: ArchiveEntry.display(path))
    }

    private static func path(_ path: [UInt8], of name: [UInt8]) throws(Failure) -> [UInt8] {
        guard let names = TreePath.components(path) else {
            throw Failure(
                .damaged, "the archive names a place outside of where it is restored to: \(ArchiveEntry.display(path))",
                object: ArchiveEntry.display(name), hint: "nothing was restored; if you trust it, use tar")
        }
        return TreePath.joined(names)
    }

    private static func extendedAttributes(of entry: OpaquePointer) -> [ArchiveEntry.ExtendedAttribute] {
        var result: [ArchiveEntry.ExtendedAttribute] = []
        archive_entry_xattr_reset(entry)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while archive_entry_xattr_next(entry, &name, &value, &count) == ARCHIVE_OK, let name {
            result.append(.init(name: bytes(name), value: [UInt8](UnsafeRawBufferPointer(start: value, count: count))))
        }
        return result + TarACL.attributes(of: entry)
    }

    private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] { [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text))) }
}
