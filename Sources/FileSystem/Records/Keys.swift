import Records

/// The keys of the file system's records (docs/format/records.md).
enum Keys {
    static func inode(_ id: UInt64) -> RecordKey { RecordKey(.inode, id) }
    static func dirent(_ directory: UInt64, _ hash: UInt64, _ name: UnsafeRawBufferPointer) -> RecordKey {
        RecordKey(.dirent, directory, hash, name: name)
    }
    static func extent(_ inode: UInt64, end: UInt64) -> RecordKey { RecordKey(.extent, inode, end) }
    static func inline(_ inode: UInt64) -> RecordKey { RecordKey(.inline, inode) }
    static func xattr(_ inode: UInt64, _ name: UnsafeRawBufferPointer) -> RecordKey { RecordKey(.xattr, inode, 0, name: name) }
    static func orphan(_ inode: UInt64) -> RecordKey { RecordKey(.orphan, inode) }
    /// The counter part of the next inode number that a writer may give out.
    static func nextInode(writer: UInt16) -> RecordKey { RecordKey(.counter, 1, UInt64(writer)) }

    /// What is after every record of `kind` whose first number is `first`.
    static func after(_ kind: RecordKind, _ first: UInt64) -> RecordKey {
        first == .max ? RecordKey(kind: kind.rawValue + 1, first: 0) : RecordKey(kind, first + 1)
    }
    static func after(_ kind: RecordKind) -> RecordKey { RecordKey(kind: kind.rawValue + 1, first: 0) }
}
