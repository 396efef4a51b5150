import CSyscalls
import Glibc
import LinuxTesting
import SystemPackage

/// What a helper holds: descriptors and mappings by the labels that the test gave them.
struct Session {
    var descriptors: [String: CInt] = [:]
    var mappings: [String: UnsafeMutableRawBufferPointer] = [:]
    var handles: [String: FileHandle] = [:]
    var exerciser: FileExerciser?
    /// A program that was started.
    var running = pid_t()

    static let openFlags: [String: CInt] = [
        "O_RDONLY": O_RDONLY, "O_WRONLY": O_WRONLY, "O_RDWR": O_RDWR, "O_CREAT": O_CREAT, "O_EXCL": O_EXCL, "O_TRUNC": O_TRUNC,
        "O_APPEND": O_APPEND, "O_NOFOLLOW": O_NOFOLLOW, "O_DIRECTORY": O_DIRECTORY, "O_NONBLOCK": O_NONBLOCK, "O_DIRECT": directIOFlag,
        "O_TMPFILE": temporaryFileFlag, "O_PATH": 0o10_000_000, "O_NOATIME": 0o1_000_000, "O_SYNC": O_SYNC,
    ]

    mutating func run(_ line: String) throws(Errno) -> String {
        var words = Words(line)
        let command = try words.word()
        if let reply = try names(command, &words) { return reply }
        if let reply = try attributes(command, &words) { return reply }
        if let reply = try files(command, &words) { return reply }
        if let reply = try content(command, &words) { return reply }
        if let reply = try locks(command, &words) { return reply }
        if let reply = try others(command, &words) { return reply }
        return "unknown-command"
    }

    func descriptor(_ words: inout Words) throws(Errno) -> CInt {
        guard let found = descriptors[try words.word()] else { throw Errno(rawValue: EBADF) }
        return found
    }

    func done(_ result: some SignedInteger) throws(Errno) -> String {
        try checked(result)
        return "ok"
    }

    // MARK: Names

    private func names(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        switch command {
        case "mkdir": return try done(Glibc.mkdir(try words.text(), try words.optionalOctal(0o755)))
        case "rmdir": return try done(Glibc.rmdir(try words.text()))
        case "unlink": return try done(Glibc.unlink(try words.text()))
        case "link": return try done(Glibc.link(try words.text(), try words.text()))
        case "linkfd":
            let file = try descriptor(&words)
            return try done(linkat(AT_FDCWD, "/proc/self/fd/\(file)", AT_FDCWD, try words.text(), AT_SYMLINK_FOLLOW))
        case "symlink": return try done(Glibc.symlink(try words.text(), try words.text()))
        case "readlink":
            var target = [CChar](repeating: 0, count: 5000)
            let count = try checked(Glibc.readlink(try words.text(), &target, target.count))
            return count > 64 ? "\(count)-bytes" : String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        case "rename": return try done(Glibc.rename(try words.text(), try words.text()))
        case "rename2":
            let (from, to) = (try words.text(), try words.text())
            return try done(renameat2(from, to, UInt32(try words.flags(["NOREPLACE": 1, "EXCHANGE": 2, "WHITEOUT": 4]))))
        case "mknod":
            let (path, mode) = (try words.text(), try words.octal())
            return try done(Glibc.mknod(path, mode, dev_t(efs_make_device(words.isAtEnd ? 0 : UInt32(try words.number()), 3))))
        case "chdir": return try done(Glibc.chdir(try words.text()))
        case "umask":
            Glibc.umask(try words.octal())
            return "ok"
        case "tell": return try words.word()
        case "list": return try list(try words.text())
        case "links":  // as many names for one file as there can be, up to a limit: how many, and why no more
            let (path, limit) = (try words.text(), try words.number())
            for index in 0..<limit where Glibc.link(path, "\(path)-\(index)") != 0 {
                return "\(index) \(errorName(.init(rawValue: errno)))"
            }
            return "\(limit)"
        default: return nil
        }
    }

    private func list(_ path: String) throws(Errno) -> String {
        guard let stream = opendir(path) else { throw Errno(rawValue: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        if errno != 0 { throw Errno(rawValue: errno) }
        return names.isEmpty ? "-" : names.sorted().joined(separator: " ")
    }
}
