/// The flat form of single operations, as `RecordBatch` holds them: for those who write it from other places than a batch.
extension ByteWriter {
    /// Appends `put, key, value`.
    public mutating func appendPut(_ key: RecordKey, _ value: UnsafeRawBufferPointer) {
        appendOperation(.put, key, reserving: 4 + value.count)
        append(UInt32(value.count))
        append(value)
    }

    /// Appends `delete, key`.
    public mutating func appendDelete(_ key: RecordKey) { appendOperation(.delete, key, reserving: 0) }

    private mutating func appendOperation(_ operation: RecordBatch.Operation, _ key: RecordKey, reserving: Int) {
        precondition(key.name.count <= RecordKey.maximumNameSizeBytes)
        reserve(2 + RecordKey.fixedSizeBytes + key.name.count + reserving)
        append(operation.rawValue)
        append(key.kind)
        append(key.first)
        append(key.second)
        append(UInt8(key.name.count))
        append(key.name)
    }
}
