import Testing

@testable import Sealing

@Suite struct NameHasherTests {
    /// The vectors of the SipHash paper's reference: key 00…0f, message 00, 01, … of growing length.
    @Test func publishedVectors() {
        let key = SecretBytes(count: 16) { for index in 0..<16 { $0[index] = UInt8(index) } }
        let hasher = NameHasher(key: key)
        func hash(_ length: Int) -> UInt64 { (0..<length).map { UInt8($0) }.withUnsafeBytes { hasher.fullHash($0) } }
        #expect(hash(0) == 0x726f_db47_dd0e_0e31)
        #expect(hash(1) == 0x74f8_39c5_93dc_67fd)
        #expect(hash(15) == 0xa129_ca61_49be_45e5)
    }

    @Test func topBitIsClearAndKeysDiffer() {
        let first = NameHasher(key: .random(count: 32))
        let second = NameHasher(key: .random(count: 32))
        var equal = 0
        for number in 0..<1000 {
            Array("name \(number)".utf8).withUnsafeBytes { name in
                #expect(first.hash(name) >> 63 == 0)
                #expect(first.hash(name) == first.fullHash(name) & (UInt64.max >> 1))
                if first.hash(name) == second.hash(name) { equal += 1 }
            }
        }
        #expect(equal == 0)
    }
}
