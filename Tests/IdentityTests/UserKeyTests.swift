import Foundation
import Sealing
import Syscalls
import Testing

@testable import Identity

private func secret(_ text: String) -> SecretBytes { Array(text.utf8).withBytes { SecretBytes(copying: $0) } }

private func never(_ what: String) throws(Failure) -> SecretBytes { throw Failure(.interrupted, "asked for \(what)") }

private func kind(_ body: () throws -> Void) -> FailureKind? {
    do {
        try body()
        return nil
    } catch { return (error as? Failure)?.kind }
}

@Suite struct UserKeyTests {
    /// RFC 8032, section 7.1: TEST 1, 2, 3 and TEST SHA(abc).
    static let vectors: [(seed: String, key: String, message: String, signature: String)] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ]

    @Test func signaturesAreThoseOfRFC8032() throws {
        for vector in Self.vectors {
            let key = try UserSecretKey(parsing: secret(vector.seed), named: "vector", passphrase: never)
            let message = try #require(Hexadecimal.decode(vector.message))
            #expect(Hexadecimal.encode(key.publicKey.rawBytes) == vector.key)
            let signature = key.signature(for: message)
            #expect(Hexadecimal.encode(signature) == vector.signature)
            #expect(key.publicKey.isValidSignature(signature, for: message))
            for index in signature.indices {
                var wrong = signature
                wrong[index] ^= 1
                #expect(!key.publicKey.isValidSignature(wrong, for: message))
            }
            #expect(!key.publicKey.isValidSignature(signature, for: message + [0]))
            #expect(!key.publicKey.isValidSignature(Array(signature.dropLast()), for: message))
        }
    }

    @Test func aKeyOfSmallOrderIsNeverRight() throws {
        let neutral = try #require(UserPublicKey(rawBytes: [1] + [UInt8](repeating: 0, count: 31)))
        #expect(!neutral.isValidSignature([1] + [UInt8](repeating: 0, count: 63), for: Array("anything".utf8)))
    }

    @Test func rawFormsAreOneKey() throws {
        let vector = Self.vectors[0]
        let seed = try #require(Hexadecimal.decode(vector.seed))
        let base64 = Data(seed).base64EncodedString()
        let forms = [
            Array(vector.seed.utf8), Array((vector.seed.uppercased() + "\n").utf8), seed, Array(base64.utf8),
            Array((" " + base64 + "\r\n").utf8), Array(base64.dropLast().utf8),
        ]
        for form in forms {
            let key = try UserSecretKey(parsing: form.withBytes { SecretBytes(copying: $0) }, named: "key", passphrase: never)
            #expect(Hexadecimal.encode(key.publicKey.rawBytes) == vector.key)
        }
        #expect(try UserPublicKey(parsing: Array(vector.key.utf8), named: "key").rawBytes == Hexadecimal.decode(vector.key))
    }

    @Test func whatIsNoKeyIsRefused() {
        let wrong = ["", " ", "x", String(repeating: "g", count: 64), String(repeating: "*", count: 44), "-----BEGIN CERTIFICATE-----"]
        for text in wrong {
            #expect(kind { _ = try UserSecretKey(parsing: secret(text), named: "k", passphrase: never) } == .usage, "\(text)")
            #expect(kind { _ = try UserPublicKey(parsing: Array(text.utf8), named: "k") } == .usage, "\(text)")
        }
    }

    @Test func fingerprintsAreThoseOfOpenSSL() throws {
        let workshop = try Workshop()
        let key = UserSecretKey.generate().publicKey
        try Data(key.rawBytes).write(to: URL(fileURLWithPath: workshop.file("key.bin")))
        let prints = key.fingerprints
        for (name, value) in [("sha256", prints.sha256), ("sha1", prints.sha1), ("md5", prints.md5)] {
            #expect(try workshop.run("openssl", "dgst", "-r", "-" + name, "key.bin").hasPrefix(value + " "))
        }
    }

    @Test(arguments: ["", "correct horse"])
    func keysOfSSHKeygen(passphrase: String) throws {
        let workshop = try Workshop()
        try workshop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "app1@x", "-f", "id")
        let key = try UserSecretKey(file: workshop.file("id")) { (_) throws(Failure) in secret(passphrase) }
        let open = try UserPublicKey(file: workshop.file("id.pub"))
        #expect(open == key.publicKey)
        let line = try String(contentsOfFile: workshop.file("id.pub"), encoding: .utf8)
        #expect(open.openSSHLine(comment: "app1@x") + "\n" == line)
        if passphrase.isEmpty {
            _ = try UserSecretKey(file: workshop.file("id"), passphrase: never)
        } else {
            #expect(
                kind { _ = try UserSecretKey(file: workshop.file("id")) { (_) throws(Failure) in secret("wrong") } } == .wrongPassword)
        }
        #expect(kind { _ = try UserPublicKey(file: workshop.file("id")) } == .usage)
        #expect(kind { _ = try UserSecretKey(file: workshop.file("id.pub"), passphrase: never) } == .usage)
        #expect(kind { _ = try UserSecretKey(file: workshop.file("nowhere"), passphrase: never) } == .missing)
    }

    @Test func otherOpenSSHTypesAreNamed() throws {
        let workshop = try Workshop()
        try workshop.run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", "id")
        for file in ["id", "id.pub"] {
            do {
                if file == "id" {
                    _ = try UserSecretKey(file: workshop.file(file), passphrase: never)
                } else {
                    _ = try UserPublicKey(file: workshop.file(file))
                }
                Issue.record("an ECDSA key was taken")
            } catch {
                #expect(error.kind == .usage && error.message.contains("ecdsa-sha2-nistp256"))
            }
        }
    }

    /// Every cut and every flipped byte of an unprotected private key is refused or leaves the key as it is; nothing traps.
    @Test func damagedOpenSSHKeys() throws {
        let workshop = try Workshop()
        try workshop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id")
        let text = try String(contentsOfFile: workshop.file("id"), encoding: .utf8)
        let right = try UserSecretKey(file: workshop.file("id"), passphrase: never).publicKey
        let lines = text.split(separator: "\n")
        let blob = Array(try #require(Data(base64Encoded: lines.dropFirst().dropLast().joined())))
        func armored(_ bytes: [UInt8]) -> SecretBytes {
            secret("\(lines[0])\n\(Data(bytes).base64EncodedString())\n\(lines[lines.count - 1])\n")
        }
        for index in blob.indices {
            for change: UInt8 in [1, 0x80, 0xFF] {
                var wrong = blob
                wrong[index] ^= change
                let key = try? UserSecretKey(parsing: armored(wrong), named: "k") { (_) throws(Failure) in secret("") }
                #expect(key == nil || key?.publicKey == right)
            }
            let cut = try? UserSecretKey(parsing: armored(Array(blob[..<index])), named: "k") { (_) throws(Failure) in secret("") }
            #expect(cut == nil || (cut?.publicKey == right && index > blob.count - 16))
        }
    }

    @Test(arguments: ["", "correct horse"])
    func keysOfGnuPG(passphrase: String) throws {
        let workshop = try Workshop()
        try workshop.makeOpenPGPKey("app1", passphrase: passphrase)
        var keys: Set<UserPublicKey> = []
        for suffix in ["asc", "pgp"] {
            keys.insert(try UserPublicKey(file: workshop.file("app1.pub.\(suffix)")))
            let path = workshop.file("app1.priv.\(suffix)")
            keys.insert(try UserSecretKey(file: path) { (_) throws(Failure) in secret(passphrase) }.publicKey)
            if passphrase.isEmpty {
                keys.insert(try UserSecretKey(file: path, passphrase: never).publicKey)
            } else {
                #expect(kind { _ = try UserSecretKey(file: path) { (_) throws(Failure) in secret("wrong") } } == .wrongPassword)
                #expect(kind { _ = try UserSecretKey(file: path, passphrase: never) } == .interrupted)
            }
        }
        #expect(keys.count == 1)
        #expect(kind { _ = try UserSecretKey(file: workshop.file("app1.pub.asc"), passphrase: never) } == .usage)
    }

    @Test func otherOpenPGPKeysAreRefused() throws {
        let workshop = try Workshop()
        try workshop.makeOpenPGPKey("other", algorithm: "nistp256")
        #expect(kind { _ = try UserSecretKey(file: workshop.file("other.priv.pgp"), passphrase: never) } == .usage)
        #expect(kind { _ = try UserPublicKey(file: workshop.file("other.pub.asc")) } == .usage)
    }

    @Test(arguments: [nil, "correct horse"])
    func newOpenPGPKeysAreTakenByGnuPG(passphrase: String?) throws {
        let workshop = try Workshop()
        let pair = try OpenPGPKeyPair.generate(userID: "app1 <app1@example.org>", passphrase: passphrase.map(secret))
        #expect(pair.publicArmored.hasPrefix("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
        let key = try UserSecretKey(parsing: pair.secretArmored, named: "new") { (_) throws(Failure) in secret(passphrase ?? "") }
        #expect(key.publicKey == pair.publicKey)
        mkdir(workshop.file("gnupg"), 0o700)
        try KeyFile.write(pair.secretArmored, to: workshop.file("priv.pgp"))
        try workshop.run("gpg", "--batch", "--import", "priv.pgp")
        try workshop.runAll([
            "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase ?? "", "--output", "signed", "--sign", "priv.pgp",
        ])
        #expect(try workshop.run("gpg", "--batch", "--verify", "signed").contains("Good signature"))
    }

    @Test func secretsAreNotInDescriptions() throws {
        let key = try UserSecretKey(parsing: secret(Self.vectors[0].seed), named: "k", passphrase: never)
        #expect(!"\(key)".contains("9d61") && !String(reflecting: key).contains("9d61"))
    }

    @Test func keyFilesAreTheOwnersAlone() throws {
        let workshop = try Workshop()
        let path = workshop.file("key")
        try KeyFile.write("one", to: path)
        try KeyFile.write("two", to: path)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "two")
        #expect(try FileManager.default.contentsOfDirectory(atPath: workshop.path) == ["key"])
        #expect(kind { try KeyFile.write("x", to: workshop.file("no/key")) } == .missing)
    }
}
