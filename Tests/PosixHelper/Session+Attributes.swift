import Glibc
import LinuxTesting
import SystemPackage

extension Session {
    func attributes(_ command: String, _ words: inout Words) throws(Errno) -> String? {
        switch command {
        case "stat", "lstat", "fstat": return try status(command, &words)
        case "chmod": return try done(Glibc.chmod(try words.text(), try words.octal()))
        case "fchmod": return try done(Glibc.fchmod(try descriptor(&words), try words.octal()))
        case "chown", "lchown":
            let (path, uid, gid) = (try words.text(), try words.number(), try words.number())
            let (user, group) = (uid_t(truncatingIfNeeded: uid), gid_t(truncatingIfNeeded: gid))
            return try done(command == "chown" ? Glibc.chown(path, user, group) : Glibc.lchown(path, user, group))
        case "access":
            let path = try words.text()
            return try done(faccessat(AT_FDCWD, path, try words.flags(["F": F_OK, "R": R_OK, "W": W_OK, "X": X_OK]), 0x200))
        case "utimens": return try setTimes(&words)
        case "setxattr", "lsetxattr":
            let (path, name, value) = (try words.text(), try words.text(), try words.data())
            let flags = words.isAtEnd ? 0 : try words.flags(["CREATE": xattrCreate, "REPLACE": xattrReplace])
            return try done(setxattr(path, name, value, flags, followsLinks: command == "setxattr"))
        case "getxattr", "lgetxattr":
            let (path, name) = (try words.text(), try words.text())
            var value = [UInt8](repeating: 0, count: words.isAtEnd ? 70_000 : try words.number())
            let isSizeAsked = value.isEmpty
            let count = try checked(getxattr(path, name, &value, value.count, followsLinks: command == "getxattr"))
            return isSizeAsked ? "\(count)" : shown(value[..<count])
        case "removexattr", "lremovexattr":
            return try done(removexattr(try words.text(), try words.text(), followsLinks: command == "removexattr"))
        case "listxattr":
            var names = [UInt8](repeating: 0, count: 70_000)
            let count = try checked(listxattr(try words.text(), &names, names.count))
            // What the machine's security module adds is none of the file system's.
            let found = names[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.filter { $0 != "security.selinux" }
            return found.isEmpty ? "-" : found.sorted().joined(separator: " ")
        case "setacl":
            let (path, kind, list) = (try words.text(), try words.word(), try words.word())
            guard let bytes = AccessListText.encode(list) else { return "bad-list" }
            return try done(setxattr(path, "system.posix_acl_\(kind)", bytes, 0, followsLinks: true))
        case "getacl":
            let (path, kind) = (try words.text(), try words.word())
            var value = [UInt8](repeating: 0, count: 4096)
            let count = try checked(getxattr(path, "system.posix_acl_\(kind)", &value, value.count, followsLinks: true))
            return AccessListText.decode(Array(value[..<count]))
        default: return nil
        }
    }

    private func status(_ command: String, _ words: inout Words) throws(Errno) -> String {
        var found = stat()
        switch command {
        case "stat": try checked(fstatat(AT_FDCWD, try words.text(), &found, 0))
        case "lstat": try checked(fstatat(AT_FDCWD, try words.text(), &found, AT_SYMLINK_NOFOLLOW))
        default: try checked(fstat(try descriptor(&words), &found))
        }
        var shown: [String] = []
        for field in try words.word().split(separator: ",") {
            switch field {
            case "mode": shown.append(String(found.st_mode & 0o7777, radix: 8))
            case "type": shown.append(Self.typeName(found.st_mode))
            case "nlink": shown.append("\(found.st_nlink)")
            case "uid": shown.append("\(found.st_uid)")
            case "gid": shown.append("\(found.st_gid)")
            case "size": shown.append("\(found.st_size)")
            case "blocks": shown.append("\(found.st_blocks)")
            case "ino": shown.append("\(found.st_ino)")
            case "rdev": shown.append("\(found.st_rdev)")
            case "atime": shown.append(Self.time(found.st_atim))
            case "mtime": shown.append(Self.time(found.st_mtim))
            case "ctime": shown.append(Self.time(found.st_ctim))
            default: throw Errno(rawValue: EPROTO)
            }
        }
        return shown.joined(separator: ",")
    }

    static func typeName(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFREG: "file"
        case S_IFDIR: "dir"
        case S_IFLNK: "symlink"
        case S_IFIFO: "fifo"
        case S_IFSOCK: "socket"
        case S_IFCHR: "chr"
        default: "blk"
        }
    }

    private static func time(_ time: timespec) -> String {
        let digits = String(time.tv_nsec)
        return "\(time.tv_sec).\(String(repeating: "0", count: 9 - digits.count))\(digits)"
    }

    /// `seconds.nanoseconds` (nine digits), `now` or `omit`, for atime and for mtime; then `link` for that of a symbolic link itself.
    private func setTimes(_ words: inout Words) throws(Errno) -> String {
        let path = try words.text()
        var times: [timespec] = []
        for _ in 0..<2 {
            let word = try words.word()
            switch word {
            case "now": times.append(timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1))
            case "omit": times.append(timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2))
            default:
                let parts = word.split(separator: ".")
                guard parts.count == 2, let seconds = Int(parts[0]), let nanoseconds = Int(parts[1]) else { throw Errno(rawValue: EPROTO) }
                times.append(timespec(tv_sec: seconds, tv_nsec: nanoseconds))
            }
        }
        return try done(utimensat(AT_FDCWD, path, times, words.isAtEnd ? 0 : AT_SYMLINK_NOFOLLOW))
    }
}

/// `u::rwx,u:1001:r--,g::r-x,m::rwx,o::---`, as in setfacl(1).
enum AccessListText {
    private static let tags: [(name: String, number: UInt8)] = [("u", 1), ("u", 2), ("g", 4), ("g", 8), ("m", 16), ("o", 32)]

    static func encode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in text.split(separator: ",") where entry != "-" {
            let parts = entry.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let id = parts[1].isEmpty ? UInt32.max : UInt32(parts[1]) else { return nil }
            let candidates = tags.filter { $0.name == parts[0] }
            guard let tag = parts[1].isEmpty ? candidates.first : candidates.last else { return nil }
            var permissions: UInt8 = 0
            for (bit, letter) in [(4, "r"), (2, "w"), (1, "x")] where parts[2].contains(letter) { permissions |= UInt8(bit) }
            bytes += [tag.number, 0, permissions, 0] + withUnsafeBytes(of: id.littleEndian) { Array($0) }
        }
        return bytes
    }

    static func decode(_ bytes: [UInt8]) -> String {
        var entries: [String] = []
        for start in stride(from: 4, to: bytes.count, by: 8) {
            let entry = bytes[start..<start + 8]
            let id = entry.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let name = tags.first { $0.number == entry[start] }?.name ?? "?"
            let permissions = entry[start + 2]
            let letters = [(4, "r"), (2, "w"), (1, "x")].map { permissions & UInt8($0.0) != 0 ? $0.1 : "-" }.joined()
            entries.append("\(name):\(id == .max ? "" : String(id)):\(letters)")
        }
        return entries.joined(separator: ",")
    }
}
