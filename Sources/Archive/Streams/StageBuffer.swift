/// Memory that a stage uses for all its blocks, freed with it.
final class StageBuffer {
    /// What stages hand on at a time.
    static let blockSizeBytes = 64 << 10

    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int = blockSizeBytes) { bytes = .allocate(byteCount: count, alignment: 64) }

    deinit { bytes.deallocate() }

    var count: Int { bytes.count }

    subscript(range: Range<Int>) -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: bytes[range]) }

    /// Moves a range of it to the start.
    func moveToStart(_ range: Range<Int>) {
        if range.isEmpty || range.lowerBound == 0 { return }
        self[0..<range.count].copyMemory(from: UnsafeRawBufferPointer(self[range]))
    }
}
