import Client
import Foundation
import Syscalls
import Testing

@testable import Transfer

@Suite struct PlaceTests {
    @Test func textsNamePlaces() throws {
        let cases: [(String, Place)] = [
            ("a", .local("a")), ("./a", .local("./a")), ("/a/b:c", .local("/a/b:c")), ("./a:b", .local("./a:b")),
            ("drive:", .remote(name: "drive", .root, namesDirectory: false)),
            ("drive:/", .remote(name: "drive", .root, namesDirectory: true)),
            ("drive:a", .remote(name: "drive", RemotePath("/a"), namesDirectory: false)),
            ("drive:/a/", .remote(name: "drive", RemotePath("/a"), namesDirectory: true)),
            ("drive:/../a:/b", .remote(name: "drive", RemotePath("/a:/b"), namesDirectory: false)),
            ("./vault:/a", .volume("./vault", RemotePath("/a"), namesDirectory: false)),
            ("/srv/vault:/", .volume("/srv/vault", .root, namesDirectory: true)),
            ("../vault:", .volume("../vault", .root, namesDirectory: false)),
            ("a b:/c", .local("a b:/c")), ("-x:/c", .local("-x:/c")),
            ("efs://drive/a%FFb/", .remote(name: "drive", RemotePath(components: [[0x61, 0xFF, 0x62]]), namesDirectory: true)),
            ("file:///a/%FF", .file(RemotePath(components: [[0x61], [0xFF]]), namesDirectory: false)),
        ]
        for (text, place) in cases { #expect(try Place(text) == place, "\(text)") }
        for wrong in ["", "efs:///a", "efs://a b/c", "efs://d/%F", "efs://d/%00", "efs://d/%2e%2e", "efs://d/a%2Fb", "file:///%zz"] {
            #expect(throws: Failure.self, "\(wrong)") { try Place(wrong) }
        }
    }

    @Test func lastNames() throws {
        let cases: [(String, String?)] = [
            ("a/b", "b"), ("a/b/", "b"), (".", nil), ("..", nil), ("/", nil), ("drive:/", nil), ("drive:/x/y", "y"), ("./v:/z", "z"),
        ]
        for (text, name) in cases { #expect(try Place(text).lastName == name.map { Array($0.utf8) }, "\(text)") }
    }

    @Test func quantities() {
        #expect(
            parseQuantity("1") == 1 && parseQuantity("10k") == 10240 && parseQuantity("1.5M") == 1_572_864 && parseQuantity("2G") == 2 << 30
        )
        for wrong in ["", "k", "0", "-1", "1X", "nan", "inf", "1e30", "1 M"] { #expect(parseQuantity(wrong) == nil, "\(wrong)") }
    }

    @Test func hosts() throws {
        for (text, host, port) in [
            ("a", "a", 443), ("a:8443", "a", 8443), ("[::1]:9", "::1", 9), ("::1", "::1", 443), ("[::1]", "::1", 443),
        ] {
            let found = try Remote.hostAndPort(text)
            #expect(found.host == host && found.port == port, "\(text)")
        }
        for wrong in ["", "a:", "a:x", ":1", "a:0", "a:65536", "[::1]x"] {
            #expect(throws: Failure.self, "\(wrong)") { try Remote.hostAndPort(wrong) }
        }
    }

    @Test func filters() {
        var filter = PathFilter()
        filter.excludes = ["*.tmp", "build/", "a/*/c"]
        #expect(filter.takes("x/y.txt", isDirectory: false) && !filter.takes("x/y.tmp", isDirectory: false))
        #expect(!filter.takes("x/build", isDirectory: true) && !filter.takes("a/b/c", isDirectory: false))
        filter.includes = ["*.txt"]
        #expect(
            filter.takes("x/y.txt", isDirectory: false) && !filter.takes("x/y.pdf", isDirectory: false)
                && filter.takes("x", isDirectory: true))
    }

    @Test func theBookOfRemotes() throws {
        let directory = try TemporaryDirectory()
        let book = RemoteBook(path: directory.path + "/config/efs/config.toml")
        #expect(try book.remotes().isEmpty)
        let remote = Remote(host: "::1", port: 8443, user: nil, userKey: "/k \"quoted\"", certificate: "/c", keyPassphraseFile: "/p")
        try book.add("drive", remote, replacing: false)
        #expect(try book.remote("drive") == remote)
        #expect(throws: Failure.self) { try book.add("drive", remote, replacing: false) }
        var other = remote
        other.user = "app1"
        try book.add("drive", other, replacing: true)
        try book.add("more", remote, replacing: false)
        #expect(try book.remotes() == ["drive": other, "more": remote])
        let mode = try FileManager.default.attributesOfItem(atPath: book.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try book.remove("drive")
        #expect(try book.remotes() == ["more": remote])
        #expect(throws: Failure.self) { try book.remove("drive") }
        #expect(throws: Failure.self) { try book.add("a/b", remote, replacing: false) }
        try "remotes = 3".write(toFile: book.path, atomically: true, encoding: .utf8)
        #expect(throws: Failure.self) { try book.remotes() }
    }
}

/// A directory for one test.
final class TemporaryDirectory {
    let path: String
    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("efs-transfer-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
