import CArchive
import FileSystem
import Syscalls

/// POSIX access control lists: Linux has them as extended attributes, tar archives as text (`SCHILY.acl`) that libarchive reads and
/// writes, and so do GNU tar and bsdtar.
enum TarACL {
    private static let kinds: [(name: [UInt8], type: Int32)] = [
        (Array("system.posix_acl_access".utf8), ARCHIVE_ENTRY_ACL_TYPE_ACCESS),
        (Array("system.posix_acl_default".utf8), ARCHIVE_ENTRY_ACL_TYPE_DEFAULT),
    ]
    /// Linux' numbers of the tags (acl(5)), in the order in which entries are sorted, and libarchive's.
    private static let tags: [(linux: UInt16, archive: Int32)] = [
        (0x01, ARCHIVE_ENTRY_ACL_USER_OBJ), (0x02, ARCHIVE_ENTRY_ACL_USER), (0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ),
        (0x08, ARCHIVE_ENTRY_ACL_GROUP),
        (0x10, ARCHIVE_ENTRY_ACL_MASK), (0x20, ARCHIVE_ENTRY_ACL_OTHER),
    ]
    private static let version: [UInt8] = [2, 0, 0, 0]
    private static let entrySizeBytes = 8
    private static let noID = UInt32.max

    /// Adds what the attribute says to the entry; false if it is no list, or none that is understood.
    static func add(_ attribute: ArchiveEntry.ExtendedAttribute, to entry: OpaquePointer) -> Bool {
        guard let kind = kinds.first(where: { $0.name == attribute.name }), attribute.value.starts(with: version) else { return false }
        let body = attribute.value.dropFirst(version.count)
        guard !body.isEmpty, body.count % entrySizeBytes == 0 else { return false }
        var items: [(tag: Int32, permissions: Int32, id: UInt32)] = []
        for start in stride(from: body.startIndex, to: body.endIndex, by: entrySizeBytes) {
            let bytes = Array(body[start..<start + entrySizeBytes])
            let number = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
            guard let tag = tags.first(where: { $0.linux == number }), bytes[2] < 8, bytes[3] == 0 else { return false }
            items.append((tag.archive, Int32(bytes[2]), bytes[4...].reversed().reduce(0) { $0 << 8 | UInt32($1) }))
        }
        for item in items {
            archive_entry_acl_add_entry(
                entry, kind.type, item.permissions, item.tag, item.id == noID ? -1 : Int32(bitPattern: item.id), nil)
        }
        return true
    }

    /// The lists of the entry as attributes. A list that names users or groups by names alone is left out: here are numbers.
    static func attributes(of entry: OpaquePointer) -> [ArchiveEntry.ExtendedAttribute] {
        kinds.compactMap { kind in
            guard archive_entry_acl_reset(entry, kind.type) > 0 else { return nil }
            var items: [(tag: UInt16, permissions: UInt8, id: UInt32)] = []
            var type: Int32 = 0
            var permissions: Int32 = 0
            var tag: Int32 = 0
            var id: Int32 = 0
            var name: UnsafePointer<CChar>?
            while archive_entry_acl_next(entry, kind.type, &type, &permissions, &tag, &id, &name) == ARCHIVE_OK {
                guard let known = tags.first(where: { $0.archive == tag }) else { return nil }
                let isNamed = known.linux == 0x02 || known.linux == 0x08
                if isNamed, id == -1 { return nil }
                items.append((known.linux, UInt8(truncatingIfNeeded: permissions & 7), isNamed ? UInt32(bitPattern: id) : noID))
            }
            items.sort { ($0.tag, $0.id) < ($1.tag, $1.id) }
            var value = version
            for item in items {
                value += [UInt8(item.tag), 0, item.permissions, 0]
                value += (0..<4).map { UInt8(truncatingIfNeeded: item.id >> UInt32(8 * $0)) }
            }
            return ArchiveEntry.ExtendedAttribute(name: kind.name, value: value)
        }
    }
}
