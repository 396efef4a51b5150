import Glibc
import Sealing
import Syscalls
import Testing

@testable import KeyManagement

@Suite struct PasswordTests {
    let directory = TemporaryDirectory()

    private func read(_ content: [UInt8]) -> Result<[UInt8], Failure> {
        directory.write(content, to: "password")
        return Result { () throws(Failure) in try Password.fromFile(directory.path + "/password").withUnsafeBytes { Array($0) } }
    }

    @Test func aFileGivesItsFirstLine() throws {
        for (content, expected) in [
            ("", ""), ("\n", ""), ("\r\n", ""), ("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), ("abc\ndef\n", "abc"),
            (" a b \n", " a b "), ("a\rb\n", "a\rb"), ("abc\r", "abc\r"), ("a\0b\n", "a\0b"), ("pässwörd\n", "pässwörd"),
        ] {
            #expect(try read(Array(content.utf8)).get() == Array(expected.utf8))
        }
        #expect(try read([0xff, 0xfe, 10]).get() == [0xff, 0xfe])
    }

    @Test func aLineMayBe64KiBLong() throws {
        let longest = [UInt8](repeating: 97, count: Password.largestSizeBytes)
        #expect(try read(longest).get() == longest)
        #expect(try read(longest + [10]).get() == longest)
        for tooLong in [longest + [97], longest + [97, 10], longest + longest] {
            guard case .failure(let failure) = read(tooLong) else {
                #expect(Bool(false))
                continue
            }
            #expect(failure.kind == .usage)
        }
    }

    @Test func aFileThatOthersMayOpenIsWarnedOf() throws {
        directory.write(Array("abc".utf8), to: "password")
        let path = directory.path + "/password"
        func warnings(_ path: String) throws -> [String] {
            var warnings: [String] = []
            _ = try Password.fromFile(path) { warnings.append($0) }
            return warnings
        }
        for (mode, count) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o666, 1), (0o602, 1)] as [(mode_t, Int)] {
            chmod(path, mode)
            #expect(try warnings(path).count == count, "mode \(String(mode, radix: 8))")
        }
        #expect(try warnings(path).first?.contains(path) == true)
        // No file that keeps the password: a device, as a pipe.
        #expect(try warnings("/dev/null") == [])
    }

    @Test func aMissingFileIsCalledSo() {
        #expect(failureKind { () throws(Failure) in _ = try Password.fromFile("/nowhere/password") } == .missing)
        #expect(failureKind { () throws(Failure) in _ = try Password.fromFile("/tmp") } == .inputOutput)
        #expect(failureKind { () throws(Failure) in _ = try Password.fromDescriptor(-1) } == .usage)
        #expect(failureKind { () throws(Failure) in _ = try Password.fromDescriptor(99_999) } != nil)
    }

    @Test func aDescriptorIsReadToTheLineEndOnly() throws {
        directory.write(Array("first\nsecond\n".utf8), to: "lines")
        let file = try OwnedDescriptor.open(directory.path + "/lines", O_RDONLY)
        #expect(try Password.fromDescriptor(file.rawValue).constantTimeEquals(secret("first")))
        #expect(try Password.fromDescriptor(file.rawValue).constantTimeEquals(secret("second")))
        #expect(try Password.fromDescriptor(file.rawValue).count == 0)
    }

    @Test func aCommandGivesItsFirstLine() throws {
        #expect(try Password.fromCommand("echo secret; echo other").constantTimeEquals(secret("secret")))
        #expect(try Password.fromCommand("printf 'a b'").constantTimeEquals(secret("a b")))
        #expect(try Password.fromCommand("yes | head -c 1000000").constantTimeEquals(secret("y")))
        for (command, words) in [("echo secret; exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("/nowhere/command", "status 127")] {
            do throws(Failure) {
                _ = try Password.fromCommand(command)
                #expect(Bool(false), "\(command) gave a password")
            } catch {
                #expect(error.kind == .usage && error.description.contains(words) && !error.description.contains("secret"))
            }
        }
    }

    /// In a process of its own, since the environment is the whole process's.
    @Test func aCommandDoesNotSeeTheVariable() async {
        await #expect(processExitsWith: .success) {
            setenv("EFS_PASSWORD", "from outside", 1)
            // `env` gives the true environment, `$…` what the shell made of it.
            let seen = try Password.fromCommand("env | grep -c EFS_PASSWORD | tr -d '\\n'; echo \"<$EFS_PASSWORD>\"")
            guard seen.constantTimeEquals(secret("0<>")) else { exit(1) }
        }
    }

    @Test func theEnvironmentIsWiped() async {
        await #expect(processExitsWith: .success) {
            setenv("EFS_PASSWORD", "from outside", 1)
            guard let place = getenv("EFS_PASSWORD") else { exit(1) }
            guard let password = try Password.fromEnvironment(), password.constantTimeEquals(secret("from outside")) else { exit(2) }
            guard getenv("EFS_PASSWORD") == nil, try Password.fromEnvironment() == nil else { exit(3) }
            guard (0..<12).allSatisfy({ place[$0] == 0 }) else { exit(4) }
        }
    }
}
