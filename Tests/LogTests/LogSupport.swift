import BlobStorage
import Log
import Records
import Sealing
import Syscalls

/// A small generator with a seed that a failing test prints.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

let testKeys = KeyHierarchy(
    suite: .aes256Gcm, volumeID: Array(0..<16), volumeKey: SecretBytes(count: 32) { $0.copyBytes(from: Array(100..<132)) })

func testOptions(segmentSizeBytes: UInt64 = 256 << 10) -> LogOptions {
    var options = LogOptions()
    options.hasHousekeeper = false
    options.segmentSizeBytes = segmentSizeBytes
    options.reserveBytes = 0
    return options
}

func createLog(_ storage: any BlobStorage, options: LogOptions = testOptions()) throws(Failure) -> VolumeLog {
    try VolumeLog.create(storage, keys: testKeys, headerDigest: .zero, options: options)
}

func openLog(_ storage: any BlobStorage, options: LogOptions = testOptions()) throws(Failure) -> VolumeLog {
    try VolumeLog.open(storage, keys: testKeys, headerDigest: .zero, options: options) { (_) throws(Failure) in }
}

/// The records that an opening would find now; nothing is written.
func recordsFound(_ storage: any BlobStorage) throws(Failure) -> [UInt64: [UInt8]] {
    var options = testOptions()
    options.isReadOnly = true
    return try openLog(storage, options: options).all()
}

extension VolumeLog {
    func put(_ first: UInt64, _ second: UInt64 = 0, _ value: [UInt8]) throws(Failure) -> UInt64 {
        let batch = RecordBatch()
        value.withUnsafeBytes { batch.put(RecordKey(.inode, first, second), $0) }
        return try apply(batch)
    }

    func value(_ first: UInt64, _ second: UInt64 = 0) throws(Failure) -> [UInt8]? {
        var found: [UInt8]?
        _ = try get(RecordKey(.inode, first, second)) { found = Array($0) }
        return found
    }

    func all() throws(Failure) -> [UInt64: [UInt8]] {
        var result: [UInt64: [UInt8]] = [:]
        try scan(from: RecordKey(.inode, 0), to: RecordKey(.inode, .max)) { key, value in
            result[key.first] = Array(value)
            return true
        }
        return result
    }

    func writeChunk(_ bytes: [UInt8], inode: UInt64 = 1, fileOffset: UInt64 = 0) throws(Failure) -> ChunkLocation {
        try bytes.withBytes { (bytes) throws(Failure) in try writeChunk(bytes, inode: inode, fileOffset: fileOffset) }
    }

    func readChunk(_ chunk: ChunkLocation, from offset: Int = 0, count: Int? = nil) throws(Failure) -> [UInt8] {
        var output = [UInt8](repeating: 0xEE, count: count ?? Int(chunk.sizeBytes) - offset)
        try output.withMutableBytes { (bytes) throws(Failure) in try readChunk(chunk, from: offset, into: bytes) }
        return output
    }
}

func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}
