import Sealing
import Syscalls
import Testing

@testable import Archive

struct StreamTests {
    /// Sizes around what formats and buffers break at.
    static let sizes = [0, 1, 15, 16, 17, 31, 32, 33, 48, 49, 50, 1000, 65_535, 65_536, 65_537, 65_552, 131_071, 131_072, 131_073, 300_000]

    @Test(arguments: sizes) func aesCryptGivesBackWhatItTook(count: Int) throws {
        var random = SeededRandom("aesCrypt \(count)")
        let content = random.bytes(count)
        let sealed = try made(content) { (output) throws(Failure) in try AESCryptSink(output, password: secret("pässword€😀")) }
        #expect(sealed.count == 5 + 2 + 16 + 48 + 32 + (count + 15) / 16 * 16 + 33)
        for portion in [1 + count / 7, 65_536, 1 << 20] {
            #expect(try all(of: AESCryptSource(MemorySource(sealed), password: secret("pässword€😀")), portion: portion) == content)
        }
        try AESCryptSource.verify(MemorySource(sealed), password: secret("pässword€😀"))
        #expect(
            kind { () throws(Failure) in _ = try AESCryptSource(MemorySource(sealed), password: secret("pässword€")) } == .wrongPassword)
    }

    @Test(arguments: sizes) func ageGivesBackWhatItTook(count: Int) throws {
        var random = SeededRandom("age \(count)")
        let content = random.bytes(count)
        let sealed = try made(content) { (output) throws(Failure) in
            try AgeSink(output, to: .password(secret("password"), workFactor: 4))
        }
        for portion in [1 + count / 7, 65_536, 1 << 20] {
            #expect(try all(of: AgeSource(MemorySource(sealed), with: .password(secret("password"))), portion: portion) == content)
        }
        let wrong = kind { () throws(Failure) in _ = try AgeSource(MemorySource(sealed), with: .password(secret("Password"))) }
        #expect(wrong == .wrongPassword)
    }

    @Test(arguments: sizes) func compressorsGiveBackWhatTheyTook(count: Int) throws {
        var random = SeededRandom("compressors \(count)")
        for content in [random.bytes(count), [UInt8](repeating: 7, count: count)] {
            let gzip = try made(content) { GzipSink($0) }
            let zstd = try made(content) { ZstdSink($0) }
            for portion in [1 + count / 7, 65_536] {
                #expect(try all(of: GzipSource(MemorySource(gzip)), portion: portion) == content)
                #expect(try all(of: ZstdSource(MemorySource(zstd)), portion: portion) == content)
                #expect(try all(of: GzipSource(MemorySource(gzip + gzip)), portion: portion) == content + content)
                #expect(try all(of: ZstdSource(MemorySource(zstd + zstd)), portion: portion) == content + content)
            }
            for cut in [1, 4, 8, gzip.count / 2] where cut < gzip.count {
                #expect(kind { () throws(Failure) in _ = try all(of: GzipSource(MemorySource(gzip.dropLast(cut)))) } == .damaged)
            }
            for cut in [1, 4, 8, zstd.count / 2] where cut < zstd.count {
                #expect(kind { () throws(Failure) in _ = try all(of: ZstdSource(MemorySource(zstd.dropLast(cut)))) } == .damaged)
            }
            #expect(kind { () throws(Failure) in _ = try all(of: GzipSource(MemorySource(gzip + [0]))) } == .damaged)
            #expect(kind { () throws(Failure) in _ = try all(of: ZstdSource(MemorySource(zstd + [0]))) } == .damaged)
        }
    }

    @Test func passwordsThatAFormatCannotHaveAreRefused() {
        let output = MemorySink()
        #expect(kind { () throws(Failure) in _ = try AESCryptSink(output, password: secret("")) } == .usage)
        #expect(
            kind { () throws(Failure) in _ = try AESCryptSink(output, password: secret(String(repeating: "x", count: 1025))) } == .usage)
        let notUTF8 = [UInt8]([0x61, 0xFF, 0x62]).withBytes { SecretBytes(copying: $0) }
        #expect(kind { () throws(Failure) in _ = try AESCryptSink(output, password: notUTF8) } == .usage)
        #expect(kind { () throws(Failure) in _ = try AgeSink(output, to: .password(secret(""))) } == .usage)
        #expect(output.bytes.isEmpty)
    }

    @Test(arguments: [
        "21", "22", "30", "63", "64", "65", "99", "100", "1000000000000", "18446744073709551634", "0", "01", "-1", "+4", "4x", "",
    ])
    func workThatIsTooMuchOrNoNumberIsRefusedAtOnce(factor: String) throws {
        let sealed = try made([1]) { (output) throws(Failure) in try AgeSink(output, to: .password(secret("x"), workFactor: 4)) }
        let text = String(decoding: sealed.prefix(70), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").dropFirst().first)
        let changed =
            Array("age-encryption.org/v1\n\(line.dropLast())\(factor)\n".utf8)
            + sealed.dropFirst("age-encryption.org/v1\n".utf8.count + line.utf8.count + 1)
        let clock = ContinuousClock()
        let time = clock.measure {
            #expect(kind { () throws(Failure) in _ = try AgeSource(MemorySource(changed), with: .password(secret("x"))) } == .damaged)
        }
        #expect(time < .seconds(1))
    }

    @Test func headersWithoutEndAreRefused() {
        let one: [UInt8] = [0xFF, 0xFF] + [UInt8](repeating: 1, count: 65_535)
        let extensions: [UInt8] = [0x41, 0x45, 0x53, 2, 0] + [[UInt8]](repeating: one, count: 40).joined()
        #expect(kind { () throws(Failure) in _ = try AESCryptSource(MemorySource(extensions), password: secret("x")) } == .damaged)
        let line = Array("age-encryption.org/v1\n-> X ".utf8) + [UInt8](repeating: 0x61, count: 1 << 20)
        #expect(kind { () throws(Failure) in _ = try AgeSource(MemorySource(line), with: .password(secret("x"))) } == .damaged)
        let lines = Array("age-encryption.org/v1\n".utf8) + [[UInt8]](repeating: Array("-> X\n\n".utf8), count: 20_000).joined()
        #expect(kind { () throws(Failure) in _ = try AgeSource(MemorySource(lines), with: .password(secret("x"))) } == .damaged)
    }

    @Test func otherVersionsAreNamedSo() {
        for version in [UInt8(0), 1, 3, 4] {
            let bytes = [0x41, 0x45, 0x53, version] + [UInt8](repeating: 0, count: 200)
            #expect(kind { () throws(Failure) in _ = try AESCryptSource(MemorySource(bytes), password: secret("x")) } == .newerFormat)
        }
        let bytes = Array("age-encryption.org/v2\n".utf8)
        #expect(kind { () throws(Failure) in _ = try AgeSource(MemorySource(bytes), with: .password(secret("x"))) } == .newerFormat)
    }
}
