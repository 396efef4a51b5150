import Records

/// A POSIX access control list in the form of the attributes `system.posix_acl_access` and `system.posix_acl_default`:
/// version u32 (2), then entries of tag u16, permissions u16, id u32, little-endian.
struct AccessControlList {
    struct Entry {
        var tag: UInt16
        var permissions: UInt16
        var id: UInt32
    }

    private enum Tag {
        static let owner: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let owningGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let other: UInt16 = 0x20
    }

    private static let version: UInt32 = 2
    static let accessName: StaticString = "system.posix_acl_access"
    static let defaultName: StaticString = "system.posix_acl_default"

    private(set) var entries: [Entry] = []

    /// Nil if the bytes are no list with an owner, an owning group, others, and a mask where it is needed.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard reader.readUInt32() == Self.version else { return nil }
        while !reader.isAtEnd {
            guard let tag = reader.readUInt16(), let permissions = reader.readUInt16(), let id = reader.readUInt32(), permissions <= 7
            else {
                return nil
            }
            entries.append(Entry(tag: tag, permissions: permissions, id: id))
        }
        func count(_ tag: UInt16) -> Int { entries.count { $0.tag == tag } }
        let hasNamed = count(Tag.user) + count(Tag.group) > 0
        guard count(Tag.owner) == 1, count(Tag.owningGroup) == 1, count(Tag.other) == 1, count(Tag.mask) <= 1,
            !hasNamed || count(Tag.mask) == 1, count(Tag.user) + count(Tag.group) + count(Tag.mask) + 3 == entries.count
        else { return nil }
    }

    /// The mode says all that the list says.
    var isMinimal: Bool { entries.count == 3 }

    private var groupTag: UInt16 { entries.contains { $0.tag == Tag.mask } ? Tag.mask : Tag.owningGroup }

    private func permissions(_ tag: UInt16) -> UInt32 { entries.first { $0.tag == tag }.map { UInt32($0.permissions) } ?? 0 }

    /// The nine permission bits that a file with this list shows.
    var modeBits: UInt32 { permissions(Tag.owner) << 6 | permissions(groupTag) << 3 | permissions(Tag.other) }

    /// Makes the list say what the mode's nine bits say.
    mutating func setModeBits(_ mode: UInt32) {
        let groupTag = groupTag
        for index in entries.indices {
            switch entries[index].tag {
            case Tag.owner: entries[index].permissions = UInt16(mode >> 6 & 7)
            case groupTag: entries[index].permissions = UInt16(mode >> 3 & 7)
            case Tag.other: entries[index].permissions = UInt16(mode & 7)
            default: break
            }
        }
    }

    /// Takes away what the mode that a file is made with does not give.
    mutating func restrict(to mode: UInt32) { setModeBits(modeBits & mode) }

    func encode(into writer: inout ByteWriter) {
        writer.append(Self.version)
        for entry in entries {
            writer.append(entry.tag)
            writer.append(entry.permissions)
            writer.append(entry.id)
        }
    }
}
