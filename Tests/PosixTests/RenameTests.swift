import Testing

/// rename(2) and renameat2(2) of every type onto every type.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct RenameTests {
    private static let types = [
        "none", "file", "open-file", "hard-link", "empty-dir", "full-dir", "symlink", "dir-symlink", "fifo", "socket", "device",
    ]

    private static func make(_ place: Place, _ type: String, _ path: String) throws {
        let commands: [String] =
            switch type {
            case "file": ["open h \(path) O_CREAT|O_RDWR", "write h \(type) 0", "close h"]
            case "open-file": ["open \(path) \(path) O_CREAT|O_RDWR", "write \(path) \(type) 0"]
            case "hard-link": ["link linked \(path)"]
            case "empty-dir": ["mkdir \(path)"]
            case "full-dir": ["mkdir \(path)", "mkdir \(path)/sub"]
            case "symlink": ["symlink linked \(path)"]
            case "dir-symlink": ["symlink elsewhere \(path)"]
            case "fifo": ["mknod \(path) 10644"]
            case "socket": ["mknod \(path) 140644"]
            case "device": ["mknod \(path) 20644 1"]
            default: []
            }
        for command in commands { try place.call("root", command) }
    }

    /// All that can be seen, without inode numbers: those of the two names are told apart by whether they are what they were.
    private static func look(_ place: Place, _ paths: [String], _ numbers: [String]) throws {
        for path in paths {
            let now = try place.actor("root").call("lstat \(path) ino")
            let index = numbers.firstIndex(of: now)
            try place.call("root", "lstat \(path) type,nlink")
            try place.call("root", "tell \(index.map { "inode-\($0)" } ?? "no-inode")")
        }
        for directory in ["a", "b"] {
            try place.call("root", "stat \(directory) nlink")
            try place.call("root", "list \(directory)")
        }
        for path in paths { try place.call("root", "list \(path)") }
        for path in paths { try place.call("root", "read \(path) 10 0") }
        try place.call("root", "stat linked nlink")
        try place.call("root", "stat elsewhere nlink")
    }

    /// Types × types × flags × same or other directory, beside a plain directory.
    @Test(arguments: Kind.mounts, ["-", "NOREPLACE", "EXCHANGE"]) func everyPair(_ kind: Kind, _ flags: String) throws {
        try compare(kind) { place in
            for from in Self.types {
                for to in Self.types {
                    for target in ["a/to", "b/to"] {
                        for command in ["mkdir a", "mkdir b", "mkdir elsewhere", "open h linked O_CREAT|O_RDWR", "close h"] {
                            try place.expect("root", command)
                        }
                        try Self.make(place, from, "a/from")
                        try Self.make(place, to, target)
                        let numbers = try ["a/from", target].map { try place.actor("root").call("lstat \($0) ino") }
                        let reply = try place.call("root", flags == "-" ? "rename a/from \(target)" : "rename2 a/from \(target) \(flags)")
                        #expect(reply == Self.expected(from, to, flags), "\(place.kind): \(from) onto \(to), \(flags)")
                        try Self.look(place, ["a/from", target], numbers)
                        for path in ["a/from", target] {
                            for command in ["rmdir \(path)/sub", "rmdir \(path)", "unlink \(path)", "close \(path)"] {
                                _ = try place.actor("root").call(command)
                            }
                        }
                        for command in ["rmdir a", "rmdir b", "rmdir elsewhere", "unlink linked"] { try place.expect("root", command) }
                    }
                }
            }
        }
    }

    /// What POSIX and renameat2(2) say.
    private static func expected(_ from: String, _ to: String, _ flags: String) -> String {
        let (source, target) = (from.hasSuffix("-dir"), to.hasSuffix("-dir"))
        if from == "none" { return "ENOENT" }
        if flags == "EXCHANGE" { return to == "none" ? "ENOENT" : "ok" }
        if to == "none" { return "ok" }
        if flags == "NOREPLACE" { return "EEXIST" }
        if from == "hard-link", to == "hard-link" { return "ok" }
        if source, !target { return "ENOTDIR" }
        if !source, target { return "EISDIR" }
        return to == "full-dir" ? "ENOTEMPTY" : "ok"
    }

    @Test(arguments: Kind.all) func ancestorsAndFlags(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                root: mkdir a
                root: mkdir a/b
                root: mkdir a/b/c
                root: open f a/f O_CREAT|O_RDWR
                root: rename a a/b/c/d -> EINVAL
                root: rename2 a a/b/c EXCHANGE -> EINVAL
                root: rename2 a/b/c a EXCHANGE -> EINVAL
                root: rename a/b/c a -> ENOTEMPTY
                root: rename2 a/f a/g NOREPLACE|EXCHANGE -> EINVAL
                root: rename2 a/f a/g 8 -> EINVAL
                root: rename2 a/f a/w WHITEOUT
                root: lstat a/f type,rdev -> chr,3 | chr,0
                root: stat a/w type -> file
                root: rename a/b a/b
                root: rename a/b x
                root: rename x a/b/c/x -> ENOENT
                root: stat x/c type -> dir
                """.replacing("chr,3 | chr,0", with: "chr,0"))
        }
    }
}
