import Glibc
import Mount
import Syscalls

/// The mounts that this process sees: /proc/self/mountinfo, see proc_pid_mountinfo(5).
struct MountTable {
    struct Entry {
        var mountPoint: String
        /// `fuse.efs` for ours.
        var type: String
        /// What `fsname=` said: the data directory, unless the user chose another word.
        var source: String
        /// Of FUSE mounts: the real user id of the process that mounted it, which is the one that serves it, or root's.
        var userID: UInt32?
        var isOurs: Bool { type == "fuse.efs" }
    }

    let entries: [Entry]

    static func current() throws(Failure) -> MountTable {
        MountTable(parsing: try SmallTextFile.read("/proc/self/mountinfo", limitBytes: 64 << 20))
    }

    init(parsing text: String) {
        entries = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 2 else { return nil }
            return Entry(
                mountPoint: Self.unescaped(fields[4]), type: String(fields[separator + 1]), source: Self.unescaped(fields[separator + 2]),
                userID: fields.dropFirst(separator + 3).first.flatMap(Self.userID))
        }
    }

    /// The topmost mount at that path, or nil.
    func mount(at path: String) -> Entry? { entries.last { $0.mountPoint == path } }

    private static func userID(_ options: Substring) -> UInt32? {
        for word in options.split(separator: ",") where word.hasPrefix("user_id=") { return UInt32(word.dropFirst("user_id=".count)) }
        return nil
    }

    /// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension MountTable {
    /// Unmounts every FUSE mount at `path`, also of a process that has died. Another kind of mount is left alone.
    static func unmountAll(at path: String) throws(Failure) {
        while let mount = try current().mount(at: path) {
            guard mount.type.hasPrefix("fuse") else {
                throw Failure(.busy, "\(mount.source) (\(mount.type)) is mounted there, which efs does not unmount", object: path)
            }
            let server = ServerProcess(of: mount)
            try MountedVolume.unmount(path)
            try server?.waitForEnd()
        }
    }
}
