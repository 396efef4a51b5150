import MetadataStore
import Records
import Syscalls

/// Goes over the records of one kind in order, a page at a time, so that several can be gone over side by side (a store's
/// scan allows no other call meanwhile). The store must not change.
struct RecordCursor: ~Copyable {
    private let metadata: any MetadataStore
    private let kind: RecordKind
    private var page = ByteWriter(capacityBytes: 1 << 16)
    /// Where in the page the current record starts.
    private var position = 0
    private var isLastPage = false
    private var lastKey: OwnedRecordKey?

    private static let pageBytes = 1 << 16

    init(_ kind: RecordKind, of metadata: any MetadataStore) throws(Failure) {
        self.kind = kind
        self.metadata = metadata
        try readPage()
    }

    /// Of the current record; nil after the last.
    var first: UInt64? {
        guard position < page.count else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: page.readable[position...]))
        return reader.readUInt64()
    }

    /// Calls `body` with the current record, valid during the call, and goes to the next.
    mutating func take(_ body: (RecordView) -> Void) throws(Failure) {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: page.readable[position...]))
        guard let first = reader.readUInt64(), let second = reader.readUInt64(), let nameCount = reader.readUInt8(),
            let name = reader.readBytes(Int(nameCount)), let valueCount = reader.readUInt32(), let value = reader.readBytes(Int(valueCount))
        else { return }
        body(RecordView(key: RecordKey(kind, first, second, name: name), value: value))
        position += reader.offset
        if position == page.count, !isLastPage { try readPage() }
    }

    private mutating func readPage() throws(Failure) {
        page.reset()
        position = 0
        var isLast = true
        var last = lastKey
        let start = lastKey ?? OwnedRecordKey(kind: kind.rawValue, first: 0)
        let isFirstPage = lastKey == nil
        // Moved out and back, since a closure cannot hold a part of what is being changed.
        var filled = ByteWriter(capacityBytes: Self.pageBytes * 2)
        try start.withKey { (lower) throws(Failure) in
            try metadata.scan(from: lower, to: Keys.after(kind)) { record in
                if !isFirstPage, record.key == lower { return .next }
                if filled.count >= Self.pageBytes {
                    isLast = false
                    return .stop
                }
                filled.append(record.key.first)
                filled.append(record.key.second)
                filled.append(UInt8(record.key.name.count))
                filled.append(record.key.name)
                filled.append(UInt32(record.value.count))
                filled.append(record.value)
                last = OwnedRecordKey(record.key)
                return .next
            }
        }
        page.append(filled.readable)
        isLastPage = isLast
        lastKey = last
    }
}
