import Records

/// Which optional fields an inode record holds; the numbers are part of the format.
private struct FieldMask: OptionSet {
    var rawValue: UInt64
    static let deviceNumber = FieldMask(rawValue: 1)
    static let parent = FieldMask(rawValue: 2)
    /// Otherwise it is equal to the size (directories and symbolic links: 0).
    static let allocatedBytes = FieldMask(rawValue: 4)
    /// Otherwise it is the modification time.
    static let changeTime = FieldMask(rawValue: 8)
    /// Otherwise it is the change time.
    static let accessTime = FieldMask(rawValue: 16)
    /// Otherwise it is the change time.
    static let birthTime = FieldMask(rawValue: 32)
    static let flags = FieldMask(rawValue: 64)
    static let known: FieldMask = [.deviceNumber, .parent, .allocatedBytes, .changeTime, .accessTime, .birthTime, .flags]
}

extension Inode {
    static let version: UInt8 = 1

    private var impliedAllocatedBytes: UInt64 { isRegular ? size : 0 }

    func encode(into writer: inout ByteWriter) {
        var mask: FieldMask = []
        if deviceNumber != 0 { mask.insert(.deviceNumber) }
        if parent != 0 { mask.insert(.parent) }
        if allocatedBytes != impliedAllocatedBytes { mask.insert(.allocatedBytes) }
        if changeTime != modificationTime { mask.insert(.changeTime) }
        if accessTime != changeTime { mask.insert(.accessTime) }
        if birthTime != changeTime { mask.insert(.birthTime) }
        if !flags.isEmpty { mask.insert(.flags) }
        writer.append(Self.version)
        writer.appendVarint(mask.rawValue)
        writer.appendVarint(UInt64(mode))
        writer.appendVarint(UInt64(linkCount))
        writer.appendVarint(UInt64(uid))
        writer.appendVarint(UInt64(gid))
        writer.appendVarint(size)
        writer.appendSignedVarint(modificationTime.seconds)
        writer.appendVarint(UInt64(modificationTime.nanoseconds))
        writer.appendVarint(changeCounter)
        if mask.contains(.deviceNumber) { writer.appendVarint(UInt64(deviceNumber)) }
        if mask.contains(.parent) { writer.appendVarint(parent) }
        if mask.contains(.allocatedBytes) { writer.appendVarint(allocatedBytes) }
        if mask.contains(.changeTime) { Self.encode(changeTime, relativeTo: modificationTime, into: &writer) }
        if mask.contains(.accessTime) { Self.encode(accessTime, relativeTo: changeTime, into: &writer) }
        if mask.contains(.birthTime) { Self.encode(birthTime, relativeTo: changeTime, into: &writer) }
        if mask.contains(.flags) { writer.appendVarint(UInt64(flags.rawValue)) }
        if let unknownFields { writer.append(unknownFields) }
    }

    /// Nil if the bytes are no inode record of a version that is known.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> Inode? {
        var reader = ByteReader(bytes)
        guard reader.readUInt8() == version, let rawMask = reader.readVarint(), rawMask & ~FieldMask.known.rawValue == 0,
            let mode = reader.readVarint32(), InodeType(mode: mode) != nil, let linkCount = reader.readVarint32(),
            let uid = reader.readVarint32(), let gid = reader.readVarint32(), let size = reader.readVarint(),
            let seconds = reader.readSignedVarint(), let nanoseconds = reader.readNanoseconds(), let changeCounter = reader.readVarint()
        else { return nil }
        let mask = FieldMask(rawValue: rawMask)
        var inode = Inode(
            mode: mode, linkCount: linkCount, uid: uid, gid: gid, time: Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        inode.size = size
        inode.changeCounter = changeCounter
        guard inode.decodeOptionalFields(mask, &reader) else { return nil }
        if !reader.isAtEnd, let rest = reader.readBytes(reader.remaining) {
            guard fieldsAreWhole(rest) else { return nil }
            inode.unknownFields = [UInt8](rest)
        }
        return inode
    }

    private mutating func decodeOptionalFields(_ mask: FieldMask, _ reader: inout ByteReader) -> Bool {
        if mask.contains(.deviceNumber) {
            guard let value = reader.readVarint32() else { return false }
            deviceNumber = value
        }
        if mask.contains(.parent) {
            guard let value = reader.readVarint() else { return false }
            parent = value
        }
        allocatedBytes = impliedAllocatedBytes
        if mask.contains(.allocatedBytes) {
            guard let value = reader.readVarint() else { return false }
            allocatedBytes = value
        }
        if mask.contains(.changeTime) {
            guard let value = Self.decodeTime(relativeTo: modificationTime, &reader) else { return false }
            changeTime = value
        }
        accessTime = changeTime
        birthTime = changeTime
        if mask.contains(.accessTime) {
            guard let value = Self.decodeTime(relativeTo: changeTime, &reader) else { return false }
            accessTime = value
        }
        if mask.contains(.birthTime) {
            guard let value = Self.decodeTime(relativeTo: changeTime, &reader) else { return false }
            birthTime = value
        }
        if mask.contains(.flags) {
            guard let value = reader.readVarint32() else { return false }
            flags = InodeFlags(rawValue: value)
        }
        return true
    }

    /// The difference in seconds (wrapping, so that every pair of times can be written), then in nanoseconds.
    private static func encode(_ time: Timestamp, relativeTo base: Timestamp, into writer: inout ByteWriter) {
        writer.appendSignedVarint(time.seconds &- base.seconds)
        writer.appendSignedVarint(Int64(time.nanoseconds) - Int64(base.nanoseconds))
    }

    private static func decodeTime(relativeTo base: Timestamp, _ reader: inout ByteReader) -> Timestamp? {
        guard let seconds = reader.readSignedVarint(), let difference = reader.readSignedVarint() else { return nil }
        let (nanoseconds, overflow) = Int64(base.nanoseconds).addingReportingOverflow(difference)
        guard !overflow, nanoseconds >= 0, nanoseconds < 1_000_000_000 else { return nil }
        return Timestamp(seconds: base.seconds &+ seconds, nanoseconds: UInt32(nanoseconds))
    }

    /// Tag, length and value, again and again.
    private static func fieldsAreWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            guard reader.readVarint() != nil, let count = reader.readVarint(), count <= UInt64(reader.remaining),
                reader.readBytes(Int(count)) != nil
            else { return false }
        }
        return true
    }
}

extension ByteReader {
    mutating func readVarint32() -> UInt32? { readVarint().flatMap { UInt32(exactly: $0) } }

    fileprivate mutating func readNanoseconds() -> UInt32? {
        guard let value = readVarint(), value < 1_000_000_000 else { return nil }
        return UInt32(value)
    }
}
