/// A set of changes that becomes visible and durable as one: puts and deletions of records, and what they do to the
/// number of live bytes of segments. A later change of a key overrides an earlier one.
///
/// Kept as one flat buffer, so that a batch that is used again (`reset`) allocates nothing. Not thread-safe.
/// The buffer's form is also the payload of a commit (docs/FORMAT.md, "Commit payload"):
/// `op u8, kind u8, first u64, second u64, nameCount u8, name, [valueCount u32, value]`, or `op u8, segment u64, delta i64`.
/// All numbers are little-endian.
public final class RecordBatch {
    public enum Operation: UInt8 {
        case put = 1
        case delete = 2
        /// Adds a signed number to the live bytes of a segment.
        case liveBytes = 3
    }

    public private(set) var bytes: ByteWriter
    /// Number of operations.
    public private(set) var count = 0

    public init(capacityBytes: Int = 1024) { bytes = ByteWriter(capacityBytes: capacityBytes) }

    public func reset() {
        bytes.reset()
        count = 0
    }

    public func put(_ key: RecordKey, _ value: UnsafeRawBufferPointer) {
        append(.put, key)
        bytes.append(UInt32(value.count))
        bytes.append(value)
    }

    /// Puts a value that `encode` writes in place.
    public func put(_ key: RecordKey, encoding encode: (inout ByteWriter) -> Void) {
        append(.put, key)
        let at = bytes.count
        bytes.append(UInt32(0))
        encode(&bytes)
        bytes.overwrite(UInt32(bytes.count - at - 4), at: at)
    }

    public func delete(_ key: RecordKey) { append(.delete, key) }

    /// Adds `delta` to the live bytes of `segment`.
    public func liveBytes(segment: UInt64, delta: Int64) {
        count += 1
        bytes.append(Operation.liveBytes.rawValue)
        bytes.append(segment)
        bytes.append(UInt64(bitPattern: delta))
    }

    private func append(_ operation: Operation, _ key: RecordKey) {
        count += 1
        bytes.append(operation.rawValue)
        bytes.append(key.kind)
        bytes.append(key.first)
        bytes.append(key.second)
        bytes.append(UInt8(key.name.count))
        bytes.append(key.name)
    }
}

/// One operation of a batch; its pointers are valid while the batch is unchanged.
public enum BatchOperation {
    case put(RecordKey, UnsafeRawBufferPointer)
    case delete(RecordKey)
    case liveBytes(segment: UInt64, delta: Int64)
}

extension RecordBatch {
    public func forEach(_ body: (BatchOperation) -> Void) {
        // The batch wrote these bytes itself, so they always decode.
        let whole = BatchDecoder.decode(bytes.readable, body)
        precondition(whole, "a batch holds what it wrote")
    }
}

/// Reads the flat form of a batch. Bounds every length, so it can be given bytes that came from a disk.
public enum BatchDecoder {
    /// Calls `body` for each operation in order; false if the bytes are not a whole batch.
    public static func decode(_ bytes: UnsafeRawBufferPointer, _ body: (BatchOperation) -> Void) -> Bool {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            guard let code = reader.readUInt8(), let operation = RecordBatch.Operation(rawValue: code) else { return false }
            if operation == .liveBytes {
                guard let segment = reader.readUInt64(), let delta = reader.readUInt64() else { return false }
                body(.liveBytes(segment: segment, delta: Int64(bitPattern: delta)))
                continue
            }
            guard let kind = reader.readUInt8(), let first = reader.readUInt64(), let second = reader.readUInt64(),
                let nameCount = reader.readUInt8(), let name = reader.readBytes(Int(nameCount))
            else { return false }
            let key = RecordKey(kind: kind, first: first, second: second, name: name)
            if operation == .delete {
                body(.delete(key))
            } else {
                guard let count = reader.readUInt32(), let value = reader.readBytes(Int(count)) else { return false }
                body(.put(key, value))
            }
        }
        return true
    }
}
