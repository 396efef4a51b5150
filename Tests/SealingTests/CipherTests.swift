import Testing

@testable import Sealing

func hex(_ text: String) -> [UInt8] { Hexadecimal.decode(text.filter { $0 != " " && $0 != "\n" }) ?? [] }

@Suite struct CipherTests {
    struct Vector: Sendable {
        var suite: CipherSuite
        var key, nonce, associated, text, sealed: String
    }

    static let vectors: [Vector] = [
        // The GCM specification's test cases 13, 14 and 16.
        Vector(
            suite: .aes256Gcm, key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), associated: "",
            text: "", sealed: "530f8afbc74536b9a963b4f1c4cb738b"),
        Vector(
            suite: .aes256Gcm, key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), associated: "",
            text: "00000000000000000000000000000000", sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
        Vector(
            suite: .aes256Gcm, key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            text: """
                d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
                """,
            sealed: """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b
                """),
        // RFC 8439, 2.8.2.
        Vector(
            suite: .chaCha20Poly1305, key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            nonce: "070000004041424344454647", associated: "50515253c0c1c2c3c4c5c6c7",
            text: Hexadecimal.encode(
                "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".utf8),
            sealed: """
                d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
                1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
                3ff4def08e4b7a9de576d26586cec64b6116 1ae10b594f09e26a7e902ecbd0600691
                """),
        // RFC 8452, C.2, the first two.
        Vector(
            suite: .aes256GcmSiv, key: "0100000000000000000000000000000000000000000000000000000000000000",
            nonce: "030000000000000000000000", associated: "", text: "", sealed: "07f5f4169bbf55a8400cd47ea6fd400f"),
        Vector(
            suite: .aes256GcmSiv, key: "0100000000000000000000000000000000000000000000000000000000000000",
            nonce: "030000000000000000000000", associated: "", text: "0100000000000000",
            sealed: "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    ]

    @Test(arguments: vectors) func publishedVectors(_ vector: Vector) throws {
        let cipher = BlobCipher(vector.suite, hex(vector.key))
        let sealed = cipher.seal(hex(vector.text), nonce: hex(vector.nonce), associated: hex(vector.associated))
        #expect(sealed == hex(vector.sealed))
        #expect(cipher.open(sealed, nonce: hex(vector.nonce), associated: hex(vector.associated)) == hex(vector.text))
        let reference = try ReferenceAEAD.seal(
            vector.suite, hex(vector.text), key: hex(vector.key), nonce: hex(vector.nonce), associated: hex(vector.associated))
        #expect(reference == nil || reference == hex(vector.sealed))
    }

    @Test(arguments: CipherSuite.allCases) func anotherImplementationSealsTheSame(_ suite: CipherSuite) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = RandomSource.seeded(seed)
        var lengths = Array(0...70) + [4095, 4096, 4097, 65536]
        for _ in 0..<20 { lengths.append(Int.random(in: 0..<10000, using: &random)) }
        for length in lengths {
            let key = random.bytes(count: 32)
            let nonce = random.bytes(count: 12)
            let associated = random.bytes(count: Int.random(in: 0..<100, using: &random))
            let text = random.bytes(count: length)
            let cipher = BlobCipher(suite, key)
            let sealed = cipher.seal(text, nonce: nonce, associated: associated)
            guard let expected = try ReferenceAEAD.seal(suite, text, key: key, nonce: nonce, associated: associated) else { return }
            #expect(sealed == expected, "seed \(seed), length \(length)")
            #expect(cipher.open(sealed, nonce: nonce, associated: associated) == text, "seed \(seed), length \(length)")
        }
    }

    @Test(arguments: CipherSuite.allCases) func everyFlippedBitIsSeen(_ suite: CipherSuite) {
        let random = RandomSource.seeded(1)
        let cipher = BlobCipher(suite, random.bytes(count: 32))
        let fields = (text: random.bytes(count: 37), nonce: random.bytes(count: 12), associated: random.bytes(count: 19))
        let sealed = cipher.seal(fields.text, nonce: fields.nonce, associated: fields.associated)
        func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
            var bytes = bytes
            bytes[bit / 8] ^= 1 << (bit % 8)
            return bytes
        }
        #expect(cipher.open(sealed, nonce: fields.nonce, associated: fields.associated) == fields.text)
        for bit in 0..<sealed.count * 8 {
            #expect(cipher.open(flipped(sealed, bit), nonce: fields.nonce, associated: fields.associated) == nil)
        }
        for bit in 0..<fields.nonce.count * 8 {
            #expect(cipher.open(sealed, nonce: flipped(fields.nonce, bit), associated: fields.associated) == nil)
        }
        for bit in 0..<fields.associated.count * 8 {
            #expect(cipher.open(sealed, nonce: fields.nonce, associated: flipped(fields.associated, bit)) == nil)
        }
        for length in 0..<sealed.count {
            #expect(cipher.open(Array(sealed[..<length]), nonce: fields.nonce, associated: fields.associated) == nil)
        }
        #expect(cipher.open(sealed + [0], nonce: fields.nonce, associated: fields.associated) == nil)
        #expect(cipher.open(sealed, nonce: fields.nonce, associated: []) == nil)
    }

    @Test(arguments: CipherSuite.allCases) func inPlaceIsTheSame(_ suite: CipherSuite) {
        let random = RandomSource.seeded(2)
        let cipher = BlobCipher(suite, random.bytes(count: 32))
        let nonce = random.bytes(count: 12)
        for length in [0, 1, 15, 16, 17, 63, 64, 65, 4096, 65536] {
            let text = random.bytes(count: length)
            let expected = cipher.seal(text, nonce: nonce, associated: [])
            var buffer = text + [UInt8](repeating: 0, count: 16)
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            let ok = buffer.withUnsafeMutableBytes { buffer in
                cipher.withContext { context in
                    let plain = UnsafeRawBufferPointer(rebasing: buffer[..<length])
                    context.seal(plain, nonce: SealingNonce(nonce), authenticating: none, into: buffer)
                    #expect(Array(buffer) == expected)
                    return context.open(UnsafeRawBufferPointer(buffer), nonce: SealingNonce(nonce), authenticating: none, into: buffer)
                }
            }
            #expect(ok)
            #expect(Array(buffer[..<length]) == text)
        }
    }

    @Test(arguments: CipherSuite.allCases) func aRefusedMessageLeavesZeros(_ suite: CipherSuite) {
        let cipher = BlobCipher(suite, [UInt8](repeating: 1, count: 32))
        let nonce = [UInt8](repeating: 2, count: 12)
        var sealed = cipher.seal([UInt8](repeating: 3, count: 100), nonce: nonce, associated: [])
        sealed[115] ^= 1
        let ok = sealed.withUnsafeMutableBytes { buffer in
            cipher.withContext {
                $0.open(
                    UnsafeRawBufferPointer(buffer), nonce: SealingNonce(nonce), authenticating: .init(start: nil, count: 0), into: buffer)
            }
        }
        #expect(!ok)
        #expect(sealed[..<100].allSatisfy { $0 == 0 })
    }

    @Test(arguments: CipherSuite.allCases) func oneCipherServesManyThreads(_ suite: CipherSuite) async {
        let cipher = BlobCipher(suite, [UInt8](repeating: 9, count: 32))
        let wrong = await withTaskGroup(of: Int.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    let random = RandomSource.seeded(UInt64(worker))
                    var wrong = 0
                    for _ in 0..<200 {
                        let text = random.bytes(count: 500)
                        let nonce = random.bytes(count: 12)
                        var sealed = cipher.seal(text, nonce: nonce, associated: [1])
                        if cipher.open(sealed, nonce: nonce, associated: [1]) != text { wrong += 1 }
                        sealed[0] ^= 1
                        if cipher.open(sealed, nonce: nonce, associated: [1]) != nil { wrong += 1 }
                    }
                    return wrong
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test func speedIsMeasuredForEachSuiteAndSize() {
        let rows = SealingSpeed.measure(secondsEach: 0.01)
        #expect(rows.count == CipherSuite.allCases.count * 2)
        #expect(rows.allSatisfy { $0.sealMebibytesPerSecond > 1 && $0.openMebibytesPerSecond > 1 })
    }

    @Test func suitesAreFoundByName() {
        for suite in CipherSuite.allCases { #expect(CipherSuite(name: suite.name.uppercased()) == suite) }
        #expect(CipherSuite(name: "Rot13") == nil)
    }
}
