/// A record's key that owns its name: for keys that are kept. Same order as `RecordKey`.
public struct OwnedRecordKey: Equatable, Hashable, Sendable {
    public var kind: UInt8
    public var first: UInt64
    public var second: UInt64
    public var name: [UInt8]

    public init(kind: UInt8, first: UInt64, second: UInt64 = 0, name: [UInt8] = []) {
        self.kind = kind
        self.first = first
        self.second = second
        self.name = name
    }

    public init(_ key: RecordKey) {
        self.init(kind: key.kind, first: key.first, second: key.second, name: Array(key.name))
    }

    /// Lends the key in its borrowed form.
    public func withKey<R, E: Error>(_ body: (RecordKey) throws(E) -> R) throws(E) -> R {
        let (kind, first, second) = (kind, first, second)
        return try name.withUnsafeBufferPointer { (name) throws(E) -> R in
            try body(RecordKey(kind: kind, first: first, second: second, name: UnsafeRawBufferPointer(name)))
        }
    }
}

extension OwnedRecordKey: Comparable {
    public static func < (a: OwnedRecordKey, b: OwnedRecordKey) -> Bool {
        a.withKey { a in b.withKey { b in a < b } }
    }
}

extension OwnedRecordKey {
    /// `kind u8, first u64, second u64, nameCount u8, name`.
    public func encode(into writer: inout ByteWriter) {
        precondition(name.count <= RecordKey.maximumNameSizeBytes)
        writer.append(kind)
        writer.append(first)
        writer.append(second)
        writer.append(UInt8(name.count))
        writer.append(name)
    }

    /// Nil, if the bytes end before the key does.
    public init?(from reader: inout ByteReader) {
        guard let kind = reader.readUInt8(), let first = reader.readUInt64(), let second = reader.readUInt64(),
            let count = reader.readUInt8(), let name = reader.readBytes(Int(count))
        else { return nil }
        self.init(kind: kind, first: first, second: second, name: Array(name))
    }
}
