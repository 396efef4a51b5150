import Foundation
import Glibc
import Testing

@testable import Identity

/// A directory for one test, and the real tools run in it.
final class Workshop {
    let path: String

    init() throws {
        var template = Array("/tmp/efs-identity.XXXXXX".utf8CString)
        // Short, since gpg-agent's socket lies in it and the names of sockets have 108 bytes.
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        // gpg started an agent for its home; it ends by itself once asked to.
        if FileManager.default.fileExists(atPath: path + "/gnupg") { _ = try? run("gpgconf", "--kill", "all") }
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    struct Failed: Error { var command: [String]; var status: Int32; var output: String }

    /// Runs a tool to its end; its standard output. Throws unless it ends with 0.
    @discardableResult
    func run(_ command: String..., input: String? = nil) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": path, "GNUPGHOME": path + "/gnupg", "LC_ALL": "C"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        if let input {
            let pipe = Pipe()
            process.standardInput = pipe
            pipe.fileHandleForWriting.write(Data(input.utf8))
            try pipe.fileHandleForWriting.close()
        }
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(command: command, status: process.terminationStatus, output: text) }
        return text
    }

    func write(_ text: String, to name: String) throws -> String {
        try text.write(toFile: file(name), atomically: false, encoding: .utf8)
        return file(name)
    }

    /// An OpenPGP key by gpg; writes `NAME.pub.asc`, `NAME.pub.pgp`, `NAME.priv.asc`, `NAME.priv.pgp`.
    func makeOpenPGPKey(_ name: String, algorithm: String = "ed25519", usage: String = "sign", passphrase: String = "") throws {
        mkdir(path + "/gnupg", 0o700)
        let batch = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase]
        try runAll(batch + ["--quick-generate-key", "\(name) <\(name)@example.org>", algorithm, usage, "never"])
        for (suffix, armor) in [("asc", ["--armor"]), ("pgp", [])] {
            try runAll(batch + armor + ["--output", "\(name).pub.\(suffix)", "--export", name])
            try runAll(batch + armor + ["--output", "\(name).priv.\(suffix)", "--export-secret-keys", name])
        }
    }

    func runAll(_ command: [String]) throws {
        switch command.count {
        case 0: return
        default: try run("sh", "-c", command.map { "'" + $0.replacingOccurrences(of: "'", with: "'\\''") + "'" }.joined(separator: " "))
        }
    }
}
