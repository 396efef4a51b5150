import FoundationEssentials
import Glibc
import Sealing
import Syscalls
import Testing

@testable import Server

/// Where the starter key may come from.
@Suite(.serialized) struct StarterKeyTests {
    private func secret(_ text: String) -> SecretBytes { Array(text.utf8).withBytes { SecretBytes(copying: $0) } }
    private func bytes(_ key: SecretBytes?) -> [UInt8]? { key.map { $0.withUnsafeBytes { Array($0) } } }
    private let key = [UInt8](0..<32)

    @Test func allFormsAreTheSameKey() throws {
        let base64 = Base64.encode(key)
        for text in [Hexadecimal.encode(key), Hexadecimal.encode(key).uppercased(), base64, Base64URL.encode(key)] {
            #expect(bytes(try StarterKey.parse(secret(text), source: "test")) == key)
        }
        for text in ["", "00", Hexadecimal.encode(key) + "0", String(base64.dropFirst()), String(repeating: "x", count: 64)] {
            #expect(throws: Failure.self) { try StarterKey.parse(secret(text), source: "test") }
        }
    }

    @Test func aFileADescriptorAndACredential() throws {
        let directory = try ServerFixture.makeDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/" + StarterKey.credentialName
        try StarterKey.make(at: path)
        #expect(throws: Failure.self) { try StarterKey.make(at: path) }
        let made = try #require(bytes(try StarterKey.fromFile(path)))
        #expect(made.count == 32)
        let descriptor = Glibc.open(path, O_RDONLY)
        defer { close(descriptor) }
        #expect(bytes(try StarterKey.fromDescriptor(descriptor)) == made)
        #expect(bytes(try StarterKey.fromCredentials()) == nil)
        setenv("CREDENTIALS_DIRECTORY", directory, 1)
        defer { unsetenv("CREDENTIALS_DIRECTORY") }
        #expect(bytes(try StarterKey.fromCredentials()) == made)
        #expect(throws: Failure.self) { try StarterKey.fromFile(directory + "/none") }
    }

    @Test func theEnvironmentForgetsIt() throws {
        #expect(try StarterKey.fromEnvironment() == nil)
        setenv(StarterKey.environmentVariable, Hexadecimal.encode(key), 1)
        #expect(bytes(try StarterKey.fromEnvironment()) == key)
        #expect(getenv(StarterKey.environmentVariable) == nil)
    }

    @Test func theNameOfAKeyTellsItFromOthers() {
        let name = StarterKey.identifier(of: secret("a key of a test, 32 bytes long.."))
        #expect(name.utf8.count == 16)
        #expect(name == StarterKey.identifier(of: secret("a key of a test, 32 bytes long..")))
        #expect(name != StarterKey.identifier(of: secret("a key of a test, 32 bytes long.,")))
    }
}
