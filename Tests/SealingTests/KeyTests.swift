import Testing

@testable import Sealing

@Suite struct KeyTests {
    /// RFC 5869, test case 1.
    @Test func publishedDerivation() {
        let secret = [UInt8](repeating: 0x0b, count: 22).withUnsafeBytes { SecretBytes(copying: $0) }
        let derived = KeyDerivation.withDerivedKey(
            from: secret, salt: hex("000102030405060708090a0b0c"), info: hex("f0f1f2f3f4f5f6f7f8f9"), count: 42
        ) { Array($0) }
        #expect(derived == hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"))
    }

    /// RFC 4231, test case 2.
    @Test func publishedAuthenticationCode() {
        let key = Array("Jefe".utf8).withUnsafeBytes { SecretBytes(copying: $0) }
        let code = Array("what do ya want for nothing?".utf8).withUnsafeBytes { KeyDerivation.authenticationCode(of: $0, key: key) }
        #expect(code.bytes == hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    }

    @Test func noTwoPurposesOrNamesShareAKey() {
        let volumeKey = SecretBytes.random(count: 32)
        let keys = KeyHierarchy(suite: .aes256Gcm, volumeID: Array(0..<16), volumeKey: volumeKey)
        let other = KeyHierarchy(suite: .aes256Gcm, volumeID: Array(1..<17), volumeKey: volumeKey)
        var seen = Set<[UInt8]>()
        var made = 0
        for hierarchy in [keys, other] {
            for purpose in KeyPurpose.allCases {
                for (high, low) in [(0, 0), (0, 1), (1, 0), (UInt64.max, 0), (0, UInt64.max)] as [(UInt64, UInt64)] {
                    hierarchy.key(for: purpose, high: high, low: low).withUnsafeBytes { _ = seen.insert(Array($0)) }
                    made += 1
                }
            }
        }
        #expect(seen.count == made)
    }

    @Test(arguments: CipherSuite.allCases) func aBlobsCipherHasTheKeyOfItsName(_ suite: CipherSuite) {
        let keys = KeyHierarchy(suite: suite, volumeID: Array(0..<16), volumeKey: .random(count: 32))
        let byKey = BlobCipher(suite: suite, key: keys.key(for: .segment, high: 5, low: 6))
        let byName = keys.cipher(for: .segment, high: 5, low: 6)
        let nonce = [UInt8](repeating: 0, count: 12)
        #expect(byName.seal([1, 2, 3], nonce: nonce, associated: []) == byKey.seal([1, 2, 3], nonce: nonce, associated: []))
    }
}
