import Identity
import Sealing
public import Syscalls
import SystemPackage
import TOMLKit

/// The remotes of a user, in `$XDG_CONFIG_HOME/efs/config.toml` (`~/.config/efs/config.toml`), readable by the owner alone.
public struct RemoteBook: Sendable {
    public let path: String

    private struct Document: Codable {
        var remotes: [String: Remote]?
    }

    public init(path: String) { self.path = path }

    /// The user's own.
    public static func ofUser() throws(Failure) -> RemoteBook {
        guard let directory = UserDirectories.configuration else {
            throw Failure(.missing, "there is no home directory for the configuration", hint: "set HOME or XDG_CONFIG_HOME")
        }
        return RemoteBook(path: directory + "/efs/config.toml")
    }

    public func remotes() throws(Failure) -> [String: Remote] {
        let text: String
        do {
            text = try KeyFile.read(path).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        } catch {
            if error.cause == .noSuchFileOrDirectory { return [:] }
            throw error
        }
        do { return try TOMLDecoder().decode(Document.self, from: text).remotes ?? [:] } catch {
            throw Failure(.usage, "the configuration cannot be read: \(error)", object: path, hint: "correct it, or remove it")
        }
    }

    public func remote(_ name: String) throws(Failure) -> Remote {
        if let found = try remotes()[name] { return found }
        throw Failure(
            .missing, "there is no remote of this name", object: name,
            hint: "'efs remote add \(name) --host HOST --user-key FILE --cert FILE' notes one; a local file is './\(name):…'")
    }

    /// Refuses a name that is taken, unless `replacing`.
    public func add(_ name: String, _ remote: Remote, replacing: Bool) throws(Failure) {
        guard Place.isRemoteName(name.utf8) else {
            throw Failure(.usage, "this is no name for a remote", object: name, hint: "use letters, digits, '-' and '_', up to 64")
        }
        var all = try remotes()
        guard replacing || all[name] == nil else {
            throw Failure(.alreadyExists, "there is a remote of this name", object: name, hint: "--replace puts the new one in its place")
        }
        all[name] = remote
        try write(all)
    }

    public func remove(_ name: String) throws(Failure) {
        var all = try remotes()
        guard all.removeValue(forKey: name) != nil else { throw Failure(.missing, "there is no remote of this name", object: name) }
        try write(all)
    }

    private func write(_ all: [String: Remote]) throws(Failure) {
        let text: String
        do { text = try TOMLEncoder().encode(Document(remotes: all)) } catch {
            throw Failure(.inputOutput, "the configuration cannot be written: \(error)", object: path)
        }
        UserDirectories.make(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        try KeyFile.write(text + "\n", to: path)
    }
}
