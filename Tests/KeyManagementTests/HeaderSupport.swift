import Sealing
import Syscalls
import Testing

@testable import KeyManagement

func secret(_ text: String) -> SecretBytes { Array(text.utf8).withUnsafeBytes { SecretBytes(copying: $0) } }

/// The kind of failure that `body` throws, nil if it throws none.
func failureKind(_ body: () throws(Failure) -> Void) -> FailureKind? {
    do throws(Failure) {
        try body()
        return nil
    } catch {
        return error.kind
    }
}

func volumeKey(_ keys: KeyHierarchy) -> [UInt8] { keys.withVolumeKey { Array($0) } }

/// What anyone can do who may write the file: put a fitting length and checksum on it.
func repaired(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    let checksum = bytes.count - VolumeHeader.checksumSizeBytes
    guard checksum > 16 else { return bytes }
    bytes.replaceSubrange(12..<16, with: VolumeHeader.littleEndian(UInt32(bytes.count)))
    bytes.replaceSubrange(checksum..., with: DigestHasher.digest(of: Array(bytes[..<checksum])).bytes)
    return bytes
}

struct SampleVolume {
    static let password = "correct horse battery staple"
    let header: VolumeHeader
    let keys: KeyHierarchy

    init(suite: CipherSuite = .aes256Gcm, seed: UInt64 = 1) throws(Failure) {
        (header, keys) = try VolumeHeader.create(
            suite: suite, password: secret(Self.password), cost: .minimumForTests, random: .seeded(seed))
    }

    /// What a user meets who gives the right password for these bytes.
    func outcome(of bytes: [UInt8], password: String = SampleVolume.password) -> FailureKind? {
        failureKind { () throws(Failure) in
            let opened = try VolumeHeader.parse(bytes).unlock(password: secret(password))
            // Opening with other keys, suite or volume id than the true ones would be the worst of all.
            #expect(volumeKey(opened) == volumeKey(keys) && opened.suite == keys.suite && opened.volumeID == keys.volumeID)
        }
    }
}
