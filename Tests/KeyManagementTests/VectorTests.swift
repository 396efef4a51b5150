import Glibc
import Sealing
import Testing

@testable import KeyManagement

/// The vectors in docs/FORMAT.md are what this version makes: nobody changes the format without the document.
@Suite struct VectorTests {
    @Test func documentedVectorsAreMade() throws {
        let made = try vectors()
        let documented = documentedBlock()
        #expect(documented == made, "the documents should say:\n\(made)")
    }

    /// Whatever is made later, this header must open for ever.
    @Test func theDocumentedHeaderOpens() throws {
        let lines = documentedBlock().split(separator: "\n")
        func value(_ name: String) -> String {
            guard let start = lines.firstIndex(where: { $0.hasPrefix(name + " = ") }) else { return "" }
            let rest = lines[(start + 1)...].prefix { $0.hasPrefix(" ") }
            return ([lines[start].dropFirst(name.count + 3)] + rest).joined().filter { $0 != " " }
        }
        let bytes = try #require(Hexadecimal.decode(value("header")))
        let header = try VolumeHeader.parse(bytes)
        let keys = try header.unlock(password: secret("correct horse battery staple"))
        #expect(Hexadecimal.encode(volumeKey(keys)) == value("volume key"))
    }

    private func vectors() throws -> String {
        let volume = try SampleVolume()
        guard case .password(let slot) = volume.header.slots[0].content else { return "no slot" }
        let slotSecret = try Argon2.derive(from: secret(SampleVolume.password), salt: slot.salt, cost: slot.cost)
        var lines = [
            "password = \"\(SampleVolume.password)\"",
            "volume id = \(Hexadecimal.encode(volume.header.volumeID))",
            "volume key = \(Hexadecimal.encode(volumeKey(volume.keys)))",
            "passes = \(slot.cost.passes)",
            "memory in KiB = \(slot.cost.memoryKibibytes)",
            "salt = \(Hexadecimal.encode(slot.salt))",
            "slot secret = \(slotSecret.withUnsafeBytes { Hexadecimal.encode($0) })",
            "commitment = \(slot.commitment)",
            "wrapped key = \(wrapped(slot.wrappedKey))",
            "header = \(wrapped(volume.header.encoded))",
            "SHA-256 of the header = \(volume.header.digest)",
        ]
        let (high, low): (UInt64, UInt64) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210)
        for purpose in KeyPurpose.allCases {
            let ofBlob = purpose == .segment || purpose == .table
            let key = ofBlob ? volume.keys.key(for: purpose, high: high, low: low) : volume.keys.key(for: purpose)
            let name = ofBlob ? "\(purpose.rawValue) key of \(hexadecimal(high))\(hexadecimal(low))" : "\(purpose.rawValue) key"
            lines.append("\(name) = \(key.withUnsafeBytes { Hexadecimal.encode($0) })")
        }
        let hash = Array("hello".utf8).withUnsafeBytes { NameHasher(keys: volume.keys).hash($0) }
        lines.append("hash of the name \"hello\" = \(hexadecimal(hash))")
        lines.append("sealed below = \"one block\", frame 7, block 3, associated data \"its place\", under the segment key above")
        for suite in CipherSuite.allCases {
            let cipher = BlobCipher(suite: suite, key: volume.keys.key(for: .segment, high: high, low: low))
            lines.append("sealed with suite \(suite.rawValue) = \(Hexadecimal.encode(sealed(cipher)))")
        }
        return lines.joined(separator: "\n")
    }

    private func sealed(_ cipher: BlobCipher) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: 9 + CipherSuite.tagSizeBytes)
        cipher.withContext { context in
            Array("one block".utf8).withUnsafeBytes { text in
                Array("its place".utf8).withUnsafeBytes { associated in
                    output.withUnsafeMutableBytes {
                        context.seal(text, nonce: SealingNonce(frame: 7, block: 3), authenticating: associated, into: $0)
                    }
                }
            }
        }
        return output
    }

    private func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// In lines of 32 bytes, continued ones indented.
    private func wrapped(_ bytes: [UInt8]) -> String {
        stride(from: 0, to: bytes.count, by: 32).map { Hexadecimal.encode(bytes[$0..<min($0 + 32, bytes.count)]) }
            .joined(separator: "\n    ")
    }

    /// What stands between "```vectors" and "```" in the document with the header's vectors.
    private func documentedBlock() -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        for name in ["docs/format/header.md", "docs/FORMAT.md"] {
            guard let file = fopen("/\(root)/\(name)", "r") else { continue }
            defer { fclose(file) }
            var text: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
            let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            guard let start = lines.firstIndex(of: "```vectors") else { continue }
            return lines[(start + 1)...].prefix { $0 != "```" }.joined(separator: "\n")
        }
        return ""
    }
}
