import Records

/// Where a name leads: the value of a dirent record.
struct Dirent: Sendable, Equatable {
    var inode: UInt64
    var type: InodeType

    func encode(into writer: inout ByteWriter) {
        writer.appendVarint(inode)
        writer.append(type.rawValue)
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> Dirent? {
        var reader = ByteReader(bytes)
        guard let inode = reader.readVarint(), inode != 0, let raw = reader.readUInt8(), let type = InodeType(rawValue: raw), reader.isAtEnd
        else { return nil }
        return Dirent(inode: inode, type: type)
    }
}
