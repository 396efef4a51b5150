import Testing

@testable import Sealing

@Suite struct DigestTests {
    @Test func knownDigests() {
        // FIPS 180-4 examples.
        #expect(
            DigestHasher.digest(of: Array("abc".utf8)).description == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(DigestHasher.digest(of: []).description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func piecesGiveTheSameDigestAsTheWhole() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let whole = DigestHasher.digest(of: bytes)
        var hasher = DigestHasher()
        for split in 0...bytes.count {
            hasher.update(Array(bytes[..<split]))
            hasher.update(Array(bytes[split...]))
            #expect(hasher.finish() == whole)
        }
    }

    @Test func numbersAreLittleEndian() {
        var hasher = DigestHasher()
        hasher.update(UInt32(0x0403_0201))
        #expect(hasher.finish() == DigestHasher.digest(of: [1, 2, 3, 4]))
    }

    @Test func bytesRoundTrip() {
        let bytes = (0..<32).map { UInt8($0) }
        #expect(Digest32(bytes)?.bytes == bytes)
        #expect(Digest32(Array(bytes.dropLast())) == nil)
        #expect(Hexadecimal.decode(Digest32(bytes)?.description ?? "") == bytes)
        #expect(Hexadecimal.decode("0g") == nil)
        #expect(Hexadecimal.decode("012") == nil)
    }
}
