/// Bloom filters (1970) in lines of one cache line each (Putze, Sanders, Singler 2007): a hash chooses a line, and six bits
/// of its 512. At ten bits a key about 1 % of absent keys seem to be there.
enum BlockFilter {
    static let lineSizeBytes = 64
    private static let probeCount: UInt64 = 6

    static func lineCount(hashCount: Int, bitsPerKey: Int) -> Int { max(1, (hashCount * bitsPerKey + 511) / 512) }

    /// Sets the bits of `hash`. `filter` is whole lines.
    static func insert(_ hash: UInt64, into filter: UnsafeMutableRawBufferPointer) {
        let line = line(hash, filter.count / lineSizeBytes)
        for probe in 0..<probeCount {
            let bit = bit(hash, probe)
            filter[line + bit / 8] |= 1 << UInt8(bit % 8)
        }
    }

    /// False only if `hash` was never inserted. An empty filter says true.
    static func mayContain(_ hash: UInt64, _ filter: UnsafeRawBufferPointer) -> Bool {
        guard let base = filter.baseAddress, filter.count >= lineSizeBytes else { return true }
        let line = base + line(hash, filter.count / lineSizeBytes)
        for probe in 0..<probeCount {
            let bit = bit(hash, probe)
            if line.load(fromByteOffset: bit / 8, as: UInt8.self) & (1 << UInt8(bit % 8)) == 0 { return false }
        }
        return true
    }

    @inline(__always)
    private static func line(_ hash: UInt64, _ lineCount: Int) -> Int {
        Int(((hash >> 32) &* UInt64(lineCount)) >> 32) * lineSizeBytes
    }

    @inline(__always)
    private static func bit(_ hash: UInt64, _ probe: UInt64) -> Int {
        Int(((hash &* KeyHash.golden) >> (10 &+ 9 &* probe)) & 511)
    }
}
