import Glibc
import Sealing
import Syscalls
import SystemPackage
import Testing

@testable import Archive

struct AgeTests {
    /// Examples of c2sp.org/age.
    static let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    static let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

    private func identity(_ text: String) -> AgeIdentity? { Array(text.utf8).withBytes { AgeIdentity($0) } }

    @Test func theSpecificationsKeysBelongTogether() throws {
        let recipient = try #require(AgeRecipient(Self.recipient))
        let key = identity(Self.identity)
        let identity = try #require(key)
        let sealed = try made([1, 2, 3]) { (output) throws(Failure) in try AgeSink(output, to: .recipients([recipient])) }
        #expect(try all(of: AgeSource(MemorySource(sealed), with: .identities([identity]))) == [1, 2, 3])
        let two = try made([4]) { (output) throws(Failure) in
            try AgeSink(output, to: .recipients([recipient, recipient]), random: .seeded(1))
        }
        #expect(try all(of: AgeSource(MemorySource(two), with: .identities([identity]))) == [4])
        #expect(kind { () throws(Failure) in _ = try AgeSource(MemorySource(two), with: .password(secret("x"))) } == .wrongPassword)
    }

    @Test func everyChangedCharacterOfAKeyIsRefused() {
        for (index, character) in Self.identity.utf8.enumerated() {
            var text = Array(Self.identity.utf8)
            text[index] = character == UInt8(ascii: "Q") ? UInt8(ascii: "P") : UInt8(ascii: "Q")
            #expect(text.withBytes { AgeIdentity($0) } == nil, "\(index)")
            text.removeSubrange(index...)
            #expect(text.withBytes { AgeIdentity($0) } == nil, "\(index)")
        }
        for (index, character) in Self.recipient.utf8.enumerated() {
            var text = Array(Self.recipient.utf8)
            text[index] = character == UInt8(ascii: "q") ? UInt8(ascii: "p") : UInt8(ascii: "q")
            #expect(AgeRecipient(String(decoding: text, as: UTF8.self)) == nil, "\(index)")
        }
        #expect(AgeRecipient(Self.identity) == nil && identity(Self.recipient) == nil && AgeRecipient("") == nil)
        #expect(AgeRecipient(Self.recipient.uppercased()) != nil && identity(Self.identity.lowercased()) != nil)
        #expect(AgeRecipient("A" + Self.recipient.dropFirst()) == nil)
    }

    @Test func base64IsStrict() {
        #expect(AgeBase64.decode(Array("".utf8)) == [])
        #expect(AgeBase64.decode(Array("AA".utf8)) == [0])
        #expect(AgeBase64.encode([0, 255, 1, 2]) == Array("AP8BAg".utf8))
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect((AgeBase64.decode([0x41, byte, 0x41, 0x41]) != nil) == alphabet.contains(byte), "\(byte)")
        }
        for text in ["A", "AB", "AA==", "AA=", "A A", "AA\n", "AAB", "A-_A", "AAAAA"] {
            #expect(AgeBase64.decode(Array(text.utf8)) == nil, "\(text)")
        }
    }

    /// The vectors of c2sp.org/CCTV/age, if `EFS_AGE_TESTKIT` names their directory. They are not part of this repository.
    @Test(.enabled(if: getenv("EFS_AGE_TESTKIT") != nil)) func theTestKitAgrees() throws {
        let path = try #require(getenv("EFS_AGE_TESTKIT").map { String(cString: $0) })
        let store = DirectoryStore(path) { _ in }
        let directory = try store.destination()
        var count = 0
        for name in try store.names(in: directory, limit: .max).map({ String(decoding: $0, as: UTF8.self) }).sorted() {
            let file = try OwnedDescriptor.open("\(path)/\(name)", O_RDONLY)
            if try Vector(name, try all(of: DescriptorSource(file, name: name))).check() { count += 1 }
        }
        print("age test kit: \(count) vectors")
        #expect(count > 70)
    }

    private struct Vector {
        let name: String
        var fields: [(key: String, value: String)] = []
        var file: [UInt8]

        init(_ name: String, _ bytes: [UInt8]) {
            self.name = name
            file = []
            var rest = bytes[...]
            while let end = rest.firstIndex(of: 0x0A) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest = rest[(end + 1)...]
                if line.isEmpty { break }
                if let colon = line.firstRange(of: ": ") {
                    fields.append((String(line[..<colon.lowerBound]), String(line[colon.upperBound...])))
                }
            }
            file = Array(rest)
        }

        subscript(key: String) -> String? { fields.first { $0.key == key }?.value }

        /// False for what is not supported: armour, hybrid keys, compressed vectors.
        func check() throws -> Bool {
            if self["armored"] != nil || self["compressed"] != nil || name.contains("hybrid") { return false }
            let identities = fields.filter { $0.key == "identity" }.map(\.value).filter { $0.hasPrefix("AGE-SECRET-KEY-1") }
            let opening: AgeOpening
            if let passphrase = self["passphrase"] {
                opening = .password(secret(passphrase))
            } else if identities.isEmpty {
                return false
            } else {
                opening = .identities(identities.compactMap { text in Array(text.utf8).withBytes { AgeIdentity($0) } })
            }
            var content: [UInt8] = []
            let result = kind { () throws(Failure) in
                let source = try AgeSource(MemorySource(file), with: opening)
                var block = [UInt8](repeating: 0, count: 65_536)
                while true {
                    let count = try block.withMutableBytes { (block) throws(Failure) in try source.read(into: block) }
                    content += block.prefix(count)
                    if count < block.count { return }
                }
            }
            let expected = self["expect"]
            switch expected {
            case "success": #expect(result == nil, "\(name)")
            case "no match": #expect(result == .wrongPassword || result == .damaged, "\(name): \(String(describing: result))")
            default: #expect(result == .damaged || result == .newerFormat, "\(name): \(String(describing: result)), not \(expected ?? "")")
            }
            if expected == "success", let digest = self["payload"] {
                #expect(DigestHasher.digest(of: content).withUnsafeBytes { [UInt8]($0) } == hex(digest), "\(name)")
            }
            return true
        }
    }
}
