import FileSystem
import Mount
import Syscalls

/// The words of mount(8)'s `-o`: one list that `efs mount --options` and `mount.fuse.efs -o` read alike.
struct MountOptionList: Equatable {
    enum AccessTimes: String { case relatime, noatime, strictatime }

    var readOnly = false
    var allowOther = false
    var allowRoot = false
    var defaultPermissions = false
    var accessTimes: AccessTimes?
    var noDirectoryAccessTimes = false
    /// nil: what the system does by itself.
    var honorsSetuid: Bool?
    var honorsDevices: Bool?
    var honorsExecutables: Bool?
    var fileSystemName: String?
    var transport: MountOptions.Transport?

    var passwordFile: String?
    var passwordCommand: String?
    var logLevel: LogLevel?
    var logFile: String?
    var cacheMebibytes: Int?
    var acceptsRollback = false
    var expectedGeneration: UInt64?

    /// Words that concern mount(8), systemd and mount tables, not the file system.
    private static let ignored: Set<String> = [
        "rw", "defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "group", "_netdev", "nofail", "async",
        "atime", "diratime", "lazytime", "nolazytime", "norelatime", "nostrictatime", "dirsync", "mand", "nomand", "loud", "silent",
        "nonempty", "norecovery",
        "intr", "nointr",
    ]
    private static let ignoredPrefixes = ["x-", "X-", "comment=", "uhelper=", "helper=", "subtype=", "context=", "user="]

    init() {}

    /// Reads a list such as `ro,allow_other,fsname=vault`. A comma belongs to a value if `\` stands before it or if it is
    /// inside double quotes. Unknown words are refused, or skipped if `lenient` (mount's `-s`).
    init(parsing text: String, lenient: Bool = false) throws(Failure) {
        for word in Self.split(text) {
            guard try !take(flag: word), try !take(value: word) else { continue }
            let known = Self.ignored.contains(word) || Self.ignoredPrefixes.contains { word.hasPrefix($0) }
            guard known || lenient else {
                throw Failure(.usage, "unknown mount option '\(word)'", hint: "mount.fuse.efs(8) lists the options")
            }
        }
    }

    var accessTimePolicy: AccessTimePolicy {
        let rule: AccessTimePolicy.Rule =
            switch accessTimes {
            case .noatime: .never
            case .strictatime: .always
            case .relatime, nil: .relative
            }
        return AccessTimePolicy(rule, includesDirectories: !noDirectoryAccessTimes)
    }

    private mutating func take(flag word: String) throws(Failure) -> Bool {
        switch word {
        case "ro": readOnly = true
        case "allow_other": allowOther = true
        case "allow_root": allowRoot = true
        case "default_permissions": defaultPermissions = true
        case "noatime": accessTimes = .noatime
        case "relatime": accessTimes = .relatime
        case "strictatime": accessTimes = .strictatime
        case "nodiratime": noDirectoryAccessTimes = true
        case "suid": honorsSetuid = true
        case "nosuid": honorsSetuid = false
        case "dev": honorsDevices = true
        case "nodev": honorsDevices = false
        case "exec": honorsExecutables = true
        case "noexec": honorsExecutables = false
        case "accept_rollback": acceptsRollback = true
        case "remount":
            throw Failure(.usage, "a mounted volume cannot be remounted", hint: "unmount it and mount it again")
        case "sync":
            throw Failure(.usage, "the mount option 'sync' is not supported", hint: "programs that need it use fsync or O_SYNC")
        default: return false
        }
        return true
    }

    private mutating func take(value word: String) throws(Failure) -> Bool {
        guard let equals = word.firstIndex(of: "=") else { return false }
        let value = String(word[word.index(after: equals)...])
        switch word[..<equals] {
        case "fsname": fileSystemName = value
        case "transport": transport = try Self.parsed(word) { MountOptions.Transport(rawValue: value) }
        case "password_file": passwordFile = value
        case "password_command": passwordCommand = value
        case "log_file": logFile = value
        case "log_level": logLevel = try Self.parsed(word) { LogLevel(argument: value) }
        case "cache_mib": cacheMebibytes = try Self.parsed(word) { Int(value).flatMap { $0 > 0 ? $0 : nil } }
        case "expect_generation": expectedGeneration = try Self.parsed(word) { UInt64(value) }
        default: return false
        }
        guard !value.isEmpty else { throw Failure(.usage, "the mount option '\(word)' has no value") }
        return true
    }

    private static func parsed<T>(_ word: String, _ parse: () -> T?) throws(Failure) -> T {
        guard let value = parse() else { throw Failure(.usage, "the mount option '\(word)' has a wrong value") }
        return value
    }

    private static func split(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        var isEscaped = false
        for character in text {
            switch character {
            case _ where isEscaped:
                if character != "," && character != "\\" && character != "\"" { word.append("\\") }
                word.append(character)
                isEscaped = false
            case "\\": isEscaped = true
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                words.append(word)
                word = ""
            default: word.append(character)
            }
        }
        if isEscaped { word.append("\\") }
        words.append(word)
        return words.filter { !$0.isEmpty }
    }
}
