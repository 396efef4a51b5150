import Testing

/// Access, modification and change times: what sets them, to the nanosecond, and what each call changes.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct TimeTests {
    @Test(arguments: Kind.all) func everyNanosecond(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play("alice: open f f O_CREAT|O_RDWR\nalice: mkdir d\nalice: symlink f l\nalice: mknod p 10644")
            let times = [
                ("0.000000000", "0.000000001"), ("1.999999999", "1234567890.123456789"), ("-1.000000001", "-2.999999999"),
                ("-2000000000.5", "2147483648.000000005"), ("4294967296.000000001", "15000000000.999999999"),
            ]
            for (accessed, modified) in times {
                let wanted = (accessed + (accessed.hasSuffix(".5") ? "" : ""), modified)
                for target in ["f", "d", "p", "l"] {
                    try place.expect("alice", "utimens \(target) \(wanted.0) \(wanted.1) link")
                    try place.expect("alice", "lstat \(target) atime,mtime", "\(Self.full(wanted.0)),\(Self.full(wanted.1))")
                }
            }
            try place.remount()
            try place.expect("alice", "lstat l atime,mtime", "4294967296.000000001,15000000000.999999999")
            try place.expect("alice", "lstat f atime,mtime", "4294967296.000000001,15000000000.999999999")
            // One of both, and neither.
            try place.play(
                """
                alice: utimens f 5.000000005 omit
                alice: stat f atime,mtime -> 5.000000005,15000000000.999999999
                alice: utimens f omit 7.000000007
                alice: stat f atime,mtime -> 5.000000005,7.000000007
                alice: utimens f omit omit
                alice: stat f atime,mtime -> 5.000000005,7.000000007
                bob: utimens f omit omit
                bob: utimens f now now -> EACCES
                bob: utimens f 1.0 1.0 -> EPERM
                bob: utimens f now omit -> EPERM
                alice: utimens f 1.1000000000 1.0 -> EINVAL
                alice: utimens l 9.000000009 9.000000009
                alice: stat f mtime -> 9.000000009
                """)
        }
    }

    /// The nanoseconds are read as a number.
    private static func full(_ time: String) -> String {
        let parts = time.split(separator: ".")
        return "\(parts[0]).\(String(repeating: "0", count: 9 - parts[1].count))\(parts[1])"
    }

    /// Which times of which files a call changes: "a", "m" and "c", in the order of the watched paths.
    private static func changes(_ place: Place, _ call: String, _ paths: [String]) throws -> String {
        func look() throws -> [[Substring]] {
            try paths.map { try place.call("alice", "lstat \($0) atime,mtime,ctime").split(separator: ",") }
        }
        let before = try look()
        try place.call("alice", "tick")
        let reply = try place.call("alice", call)
        let after = try look()
        var shown: [String] = []
        for (path, (old, new)) in zip(paths, zip(before, after)) {
            guard old.count == 3, new.count == 3 else {
                shown.append("\(path):\(old.count == new.count ? "-" : new.count == 3 ? "new" : "gone")")
                continue
            }
            shown.append("\(path):" + zip("amc", zip(old, new)).map { $1.0 == $1.1 ? "" : String($0) }.joined())
        }
        return "\(call) -> \(reply) \(shown.joined(separator: " "))"
    }

    private static let setup = [
        "umask 022", "mkdir d", "mkdir d/sub", "mkdir e", "open f d/f O_CREAT|O_RDWR", "write f x*10000 0", "symlink f d/l",
        "mknod d/p 10644",
        "open g e/g O_CREAT|O_RDWR", "write g y*100 0", "open x d/x O_CREAT|O_RDWR", "fsync f", "fsync g", "link d/f d/hard",
        "map m f 4096",
        "setxattr d/f user.old 1",
    ]

    private static let calls = [
        "stat d/f type", "open h d/f O_RDONLY", "open h d/f O_RDWR", "read f 10 0", "read f 0 0", "write f y 0", "write f - 0",
        "write f y 20000",
        "ftruncate f 100", "ftruncate f 20001", "ftruncate f 100", "ftruncate f 100", "truncate d/f 100", "truncate d/f 50",
        "open h d/f O_WRONLY|O_TRUNC", "open h d/f O_WRONLY|O_TRUNC",
        "fallocate f PLAIN 0 8192", "fallocate f KEEP_SIZE 0 100000", "fallocate f PUNCH_HOLE|KEEP_SIZE 0 4096",
        "fallocate f ZERO_RANGE 0 4096",
        "copy g 0 f 0 50", "copy g 100 f 0 50", "chmod d/f 640", "chmod d/f 640", "chown d/f -1 -1", "chown d/f 1001 1001",
        "lchown d/l 1001 1001", "utimens d/f 5.0 6.0",
        "utimens d/f omit 6.0", "utimens d/f omit omit", "utimens d/f now omit", "setxattr d/f user.a 1", "setxattr d/f user.a 2",
        "getxattr d/f user.a", "listxattr d/f", "removexattr d/f user.a",
        "removexattr d/f user.a", "setacl d/f access u::rw-,u:1002:r--,g::r--,m::r--,o::---", "link d/f e/link", "unlink e/link",
        "unlink d/hard", "mkdir d/new", "rmdir d/new",
        "mkdir d/sub", "open h d/new O_CREAT|O_WRONLY", "unlink d/new", "open h d/f O_CREAT|O_WRONLY", "symlink x d/new", "unlink d/new",
        "mknod d/new 10644", "rename d/new d/newer",
        "rename d/newer e/newer", "unlink e/newer", "rename d/x e/x", "rename e/x d/x", "rename d/sub e/sub", "rename e/sub d/sub",
        "rename2 d/x e/g EXCHANGE", "rename2 d/x e/g EXCHANGE",
        "rename2 d/x d/f NOREPLACE", "rename d/x d/x", "rename d/x e/g", "readlink d/l", "list d", "access d/f R", "fsync f",
        "open t d O_TMPFILE|O_RDWR", "linkfd t d/tmp", "unlink d/tmp",
        "setlk f WRITE 0 10", "statfs d",
    ]

    /// Where the kernel's FUSE differs from ext4, and what it leaves out: reading from its cache is no access, and truncate(2) to the size that
    /// the file has changes nothing (as XFS has it).
    private static let known = [
        "read f 10 0 -> x*10": "d/f:a", "copy g 0 f 0 50 -> 50": "e/g:a", "truncate d/f 100 -> ok": "d/f:mc",
    ]

    /// Beside a plain directory, call for call. What is read from a directory is not looked at.
    @Test(arguments: Kind.mounts) func whatEachCallChanges(_ kind: Kind) throws {
        let paths = ["d", "d/f", "d/l", "d/sub", "d/x", "e", "e/g"]
        func run(_ kind: Kind) throws -> [String] {
            try Place.with(kind) { place in
                for command in Self.setup {
                    try place.call("alice", command)
                    // No two files have the same times.
                    try place.call("alice", "tick")
                }
                return try Self.calls.filter { !$0.hasPrefix("list ") && !$0.hasPrefix("statfs") }.map {
                    try Self.changes(place, $0, paths)
                }
            }
        }
        let (expected, found) = (try run(.plain), try run(kind))
        for (plain, here) in zip(expected, found) where here != plain {
            let change = Self.known.first { plain.hasPrefix($0.key) }?.value
            #expect(here == change.map { plain.replacing($0, with: $0.prefix { $0 != ":" } + ":") } ?? plain)
        }
    }

    /// The first read after a change shows, whichever way it is read (relatime).
    @Test(arguments: Kind.all) func accessTimes(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: write f x*10000 0 -> 10000
                alice: symlink f l
                alice: fsync f
                alice: utimens f 100.000000000 200.000000000
                """)
            try place.remount()
            try place.play("alice: open f f O_RDWR\nalice: stat f atime -> 100.000000000\nalice: read f 10 0 -> x*10")
            try place.remount()
            #expect(try place.call("alice", "stat f atime") != "100.000000000", "reading shows")
            try place.expect("alice", "utimens f 100.000000000 50.000000000")
            try place.play("alice: open f f O_RDONLY|O_NOATIME\nalice: read f 10 0 -> x*10")
        }
    }

    /// What a program reads back is what there is after the kernel forgot, too: times of cached writes are handed on.
    @Test(arguments: Kind.all) func timesOfCachedWritesAreKept(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: write f x*10000 0 -> 10000
                alice: utimens f 5.000000005 6.000000006
                alice: write f y*10 0 -> 10
                alice: open g g O_CREAT|O_RDWR
                alice: write g x*10000 0 -> 10000
                alice: utimens g 5.000000005 6.000000006
                """)
            let times = try ["f", "g"].map { try place.call("alice", "stat \($0) mtime") }
            #expect(times[1] == "6.000000006" && times[0] != "6.000000006")
            try place.remount()
            #expect(try ["f", "g"].map { try place.call("alice", "stat \($0) mtime") } == times)
        }
    }
}
