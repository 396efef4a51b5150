import FoundationEssentials
import Client
import Glibc
import Identity
import Sealing

/// Which uploads were begun and not finished, one small file each under `$XDG_STATE_HOME/efs/uploads`, so that another process
/// can go on with one. What cannot be written or read only costs sending again.
public struct UploadNotes: Sendable {
    private let directory: String

    public init(directory: String) { self.directory = directory }

    /// Nil without a home.
    public static var ofUser: UploadNotes? {
        let state = UserDirectories.state
        return state.map { UploadNotes(directory: $0 + "/efs/uploads") }
    }

    private func path(_ key: String) -> String { "\(directory)/\(DigestHasher.digest(of: Array(key.utf8)))" }

    func find(_ key: String) -> ResumableUpload? {
        guard let contents = try? KeyFile.read(path(key)) else { return nil }
        return contents.withUnsafeBytes { try? JSONDecoder().decode(ResumableUpload.self, from: Data($0)) }
    }

    func note(_ upload: ResumableUpload, for key: String) {
        guard let text = try? JSONEncoder().encode(upload) else { return }
        UserDirectories.make(directory)
        try? KeyFile.write(String(decoding: text, as: UTF8.self), to: path(key))
    }

    func forget(_ key: String) { unlink(path(key)) }
}

/// The XDG base directories.
public enum UserDirectories {
    public static var state: String? { directory("XDG_STATE_HOME", "/.local/state") }
    public static var configuration: String? { directory("XDG_CONFIG_HOME", "/.config") }

    private static func directory(_ variable: String, _ below: String) -> String? {
        if let value = getenv(variable), value.pointee == CChar(UInt8(ascii: "/")) { return String(cString: value) }
        guard let home = getenv("HOME"), home.pointee == CChar(UInt8(ascii: "/")) else { return nil }
        return String(cString: home) + below
    }

    /// Makes a directory and its parents, each for its owner alone; what fails shows when a file is written there.
    public static func make(_ path: String) {
        var sofar = ""
        for part in path.split(separator: "/") {
            sofar += "/" + part
            mkdir(sofar, 0o700)
        }
    }
}
