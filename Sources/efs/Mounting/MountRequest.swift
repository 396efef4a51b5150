import Glibc
import Mount
import Syscalls
import SystemPackage

/// A mount as it was asked for, with absolute paths, so that a process in another directory can do it.
struct MountRequest: Equatable {
    var dataDirectory: String
    var mountPoint: String
    var options: MountOptionList
    var log: LogSettings

    struct LogSettings: Equatable {
        var level: LogLevel = .info
        var file: String?
    }

    /// The command line of the process that serves it, as `ps` shows it. It holds no secret: the password, and what
    /// names its source, goes over the handover socket.
    func arguments(handover descriptor: Int32) -> [String] {
        var arguments = ["mount", dataDirectory, mountPoint, "--handover-fd", String(descriptor), "--log-level", log.level.rawValue]
        if let file = log.file { arguments += ["--log-file", file] }
        let flags = [
            (options.readOnly, "--read-only"), (options.allowOther, "--allow-other"), (options.allowRoot, "--allow-root"),
            (options.acceptsRollback, "--accept-rollback"),
        ]
        arguments += flags.filter(\.0).map(\.1)
        if let generation = options.expectedGeneration { arguments += ["--expect-generation", String(generation)] }
        if let cache = options.cacheMebibytes { arguments += ["--cache", String(cache)] }
        if let transport = options.transport { arguments += ["--transport", transport.rawValue] }
        let words = optionWords
        if !words.isEmpty { arguments += ["--options", words.joined(separator: ",")] }
        return arguments
    }

    /// The mount options that have no option of their own.
    private var optionWords: [String] {
        var words: [String] = []
        if options.defaultPermissions { words.append("default_permissions") }
        if let times = options.accessTimes { words.append(times.rawValue) }
        if options.noDirectoryAccessTimes { words.append("nodiratime") }
        if let honors = options.honorsSetuid { words.append(honors ? "suid" : "nosuid") }
        if let honors = options.honorsDevices { words.append(honors ? "dev" : "nodev") }
        if let honors = options.honorsExecutables { words.append(honors ? "exec" : "noexec") }
        if let name = options.fileSystemName { words.append("fsname=" + Self.escaped(name)) }
        return words
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value {
            if character == "," || character == "\\" || character == "\"" { text.append("\\") }
            text.append(character)
        }
        return text
    }
}

/// Absolute paths without `.`, `..` and symbolic links.
enum AbsolutePath {
    /// Of something that exists.
    static func existing(_ path: String) throws(Failure) -> String {
        guard let resolved = realpath(path, nil) else {
            throw Failure(systemCall: "looking it up", object: path, Errno(rawValue: errno))
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Of a mount point, also one whose server has died: the kernel then answers for nothing below the parent directory.
    static func mountPoint(_ path: String) throws(Failure) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        let name = trimmed.split(separator: "/").last.map(String.init) ?? ""
        guard !name.isEmpty, name != ".", name != ".." else { return try existing(path) }
        let parent = trimmed.dropLast(name.count)
        let directory = try existing(parent.isEmpty ? "." : String(parent))
        let plain = directory == "/" ? "/" + name : directory + "/" + name
        // Only a symbolic link has to be followed; reading one does not ask the dead server.
        var buffer: [CChar] = [0]
        return readlink(plain, &buffer, 1) >= 0 ? try existing(plain) : plain
    }
}

extension AbsolutePath {
    /// Of a file that may not exist yet, in a directory that does.
    static func toBeCreated(_ path: String) throws(Failure) -> String {
        guard let slash = path.lastIndex(of: "/") else { return try existing(".") + "/" + path }
        let directory = slash == path.startIndex ? "/" : try existing(String(path[..<slash]))
        return directory + "/" + path[path.index(after: slash)...]
    }
}
