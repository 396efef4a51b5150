import Sealing
import Testing

@testable import Client

@Suite struct RemotePathTests {
    @Test func textsBecomePaths() {
        let cases = [
            ("", "/"), ("/", "/"), ("a", "/a"), ("/a/b", "/a/b"), ("a//b/", "/a/b"), ("./a/./b", "/a/b"), ("/a/../b", "/b"),
            ("../../a", "/a"), ("/a/b/../../..", "/"), ("...", "/..."),
        ]
        for (text, expected) in cases { #expect(RemotePath(text).description == expected, "\(text)") }
        let here = RemotePath("/a/b")
        #expect(
            here.resolving("c") == RemotePath("/a/b/c") && here.resolving("/c") == RemotePath("/c")
                && here.resolving("..") == RemotePath("/a"))
        #expect(here.parent == RemotePath("/a") && RemotePath.root.parent == .root && here.name == Array("b".utf8))
    }

    /// Every byte comes through percent-encoding as RFC 3986 has it.
    @Test func everyByteIsEncoded() {
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "/") && byte != 0 {
            let text = RemotePath(components: [[byte]]).percentEncoded
            let isPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            let expected = isPlain ? "/" + String(UnicodeScalar(byte)) : "/%" + (digits.count == 1 ? "0" : "") + digits
            #expect(text == expected)
        }
        #expect(RemotePath("/Mes documents/é").percentEncoded == "/Mes%20documents/%C3%A9")
        #expect(RemotePath.root.percentEncoded == "/")
    }

    @Test func headersAreReadAndWritten() throws {
        #expect(EFSClient.contentRange("bytes 0-99/1234").map { $0.0 } == 0..<100)
        for wrong in ["bytes 9-1/100", "bytes 0-100/100", "bytes */100", "items 0-1/2", "bytes 0-1", "bytes -1/2", ""] {
            #expect(EFSClient.contentRange(wrong) == nil, "\(wrong)")
        }
        #expect(EFSClient.timestamp(12, 5) == "12.000000005" && EFSClient.octal(0o644) == "0644")
        for (text, seconds, nanoseconds) in [("12", 12, 0), ("12.5", 12, 500_000_000), ("-3.000000001", -3, 1)] as [(String, Int64, UInt32)]
        {
            let parsed = try #require(EFSClient.parsedTimestamp(text))
            #expect(parsed == (seconds, nanoseconds))
        }
        for wrong in ["", "x", "1.x", "1.1234567890", "."] { #expect(EFSClient.parsedTimestamp(wrong) == nil, "\(wrong)") }
        for count in 0...40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 250) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
            #expect(!Base64URL.encode(bytes).contains { "+/=".contains($0) })
        }
    }

    /// Every byte that a name may have.
    @Test func percentEncodingGoesBothWays() {
        for byte in (0...255 as ClosedRange<UInt8>) where byte != 0 && byte != UInt8(ascii: "/") && byte != UInt8(ascii: ".") {
            let path = RemotePath(components: [[byte], Array("a".utf8) + [byte, byte]])
            #expect(RemotePath(percentEncoded: path.percentEncoded) == path, "\(byte)")
            #expect(path.isUTF8 == (byte < 0x80))
        }
        #expect(RemotePath(percentEncoded: "/") == .root)
        for wrong in ["/%", "/%4", "/%zz", "/%00", "/%2F", "/%2f", "/..", "/%2e", "/a/%2E%2E/b"] {
            #expect(RemotePath(percentEncoded: wrong) == nil, "\(wrong)")
        }
    }

    @Test func digestsAreReadAndWritten() {
        let digest = DigestHasher.digest(of: Array("x".utf8))
        let field = EFSClient.digestField(digest)
        #expect(field == "sha-256=:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=:")
        #expect(EFSClient.digest(inField: field) == digest)
        #expect(EFSClient.digest(inField: "sha-512=:AAAA:, " + field) == digest)
        for wrong in ["", "sha-256=", "sha-256=:AAAA:", "sha-256=:x:", "sha-512" + field.dropFirst(7)] {
            #expect(EFSClient.digest(inField: wrong) == nil, "\(wrong)")
        }
    }

    @Test func namesThatLeadElsewhereAreRefused() {
        for name in [".", "..", "a/b", "/", "a\u{0}"] {
            let document = EntryDocument(
                name: name, nameBytes: nil, type: .file, size: 0, etag: nil, modified: nil, modifiedNanoseconds: nil, mode: nil, target: nil
            )
            #expect(document.entry == nil, "\(name.debugDescription)")
        }
    }
}
