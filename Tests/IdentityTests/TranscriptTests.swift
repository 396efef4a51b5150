import Sealing
import Testing

@testable import Identity

@Suite struct TranscriptTests {
    static let transcript = Transcript(
        user: "app1", keyFingerprint: [UInt8](repeating: 1, count: 32), serverID: [UInt8](repeating: 2, count: 16),
        serverCertificate: DigestHasher.digest(of: [3]), clientCertificate: DigestHasher.digest(of: [4]),
        serverNonce: [UInt8](repeating: 5, count: 32), clientNonce: [UInt8](repeating: 6, count: 32), expires: 1_790_000_000)

    /// The bytes of docs/HTTP_API.md, written out.
    @Test func bytesAreThoseOfTheDocument() {
        let expected =
            "0000000b" + "6566732d617574682d7631" + "0000000e" + "636c69656e742d73657373696f6e" + "00000004" + "61707031" + "00000020"
            + String(repeating: "01", count: 32) + "00000010" + String(repeating: "02", count: 16) + "00000020"
            + "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5" + "00000020"
            + "e52d9c508c502347344d8c07ad91cbd6068afc75ff6292f062a09ca381c89e71" + "00000020" + String(repeating: "05", count: 32)
            + "00000020" + String(repeating: "06", count: 32) + "00000008" + "000000006ab13b80"
        #expect(Hexadecimal.encode(Self.transcript.encoded(for: .clientSession)) == expected)
    }

    /// No two transcripts that differ have the same bytes, also where a byte moves from one field to the next.
    @Test func everyFieldCounts() {
        var all: [Transcript] = [Self.transcript]
        func changed(_ change: (inout Transcript) -> Void) {
            var other = Self.transcript
            change(&other)
            all.append(other)
        }
        changed { $0.user = "app2" }
        changed {
            $0.user = "app1\u{1}"; $0.keyFingerprint.removeFirst()
        }
        changed { $0.keyFingerprint[0] ^= 1 }
        changed { $0.serverID[0] ^= 1 }
        changed { $0.serverCertificate = .zero }
        changed { $0.clientCertificate = .zero }
        changed { swap(&$0.clientCertificate, &$0.serverCertificate) }
        changed { $0.serverNonce[31] ^= 1 }
        changed { $0.clientNonce[31] ^= 1 }
        changed { swap(&$0.clientNonce, &$0.serverNonce) }
        changed { $0.expires += 1 }
        let encodings = all.flatMap { transcript in Transcript.Purpose.allCases.map { transcript.encoded(for: $0) } }
        #expect(Set(encodings).count == encodings.count)
    }
}
