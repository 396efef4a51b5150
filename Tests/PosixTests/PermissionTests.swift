import Glibc
import LinuxTesting
import Testing

/// Who may do what, for every mode.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct PermissionTests {
    /// What somebody is to a file of alice and group 2001.
    private static let relations = [("alice", 6), ("dave", 3), ("carol", 3), ("bob", 0)]

    /// The mode in which the bits of one class are these, and those of the others the opposite: whoever looks at the wrong class is found out.
    private static func mode(_ bits: Int, at shift: Int) -> String {
        let mode = [6, 3, 0].reduce(0) { $0 | ($1 == shift ? bits : ~bits & 7) << $1 }
        return String(mode, radix: 8)
    }

    private static let onFile: [(command: String, needs: Int)] = [
        ("open h f O_RDONLY", 4), ("open h f O_WRONLY", 2), ("open h f O_RDWR", 6), ("open h f O_WRONLY|O_TRUNC", 2),
        ("open h f O_WRONLY|O_APPEND", 2), ("truncate f 3", 2), ("access f R", 4), ("access f W", 2), ("access f X", 1),
        ("access f R|W|X", 7), ("getxattr f user.x", 4), ("setxattr f user.x v", 2), ("utimens f now now", 2), ("execute program", 1),
        ("access f F", 0), ("stat f type", 0),
    ]

    @Test(arguments: Kind.all) func everyModeOfAFile(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play("root: open f f O_CREAT|O_RDWR\nroot: setxattr f user.x v\nroot: chown f 1001 2001")
            // By a helper: while this process writes a program, another thread of it may start one, which keeps it busy.
            try place.play("root: open from /bin/true O_RDONLY\nroot: open to program O_CREAT|O_RDWR")
            #expect(Int(try place.call("root", "sendfile to from 10000000")) ?? 0 > 1000)
            try place.play("root: close to\nroot: chown program 1001 2001")
            for (name, shift) in Self.relations {
                for bits in 0..<8 {
                    for file in ["f", "program"] { try place.expect("root", "chmod \(file) \(Self.mode(bits, at: shift))") }
                    for (command, needs) in Self.onFile {
                        let reply = try place.call(name, command)
                        var isAllowed = bits & needs == needs
                        // The owner may always touch a file.
                        if name == "alice", command.hasPrefix("utimens") { isAllowed = true }
                        let isDone = !reply.hasPrefix("E")
                        #expect(isDone == isAllowed, "\(name), \(bits): \(command) gives \(reply)")
                        if !isAllowed { #expect(reply == "EACCES") }
                    }
                }
            }
        }
    }

    private static let onDirectory: [(command: String, needs: Int, undo: String?)] = [
        ("list d", 4, nil), ("stat d/f size", 1, nil), ("stat d/none size", 1, nil), ("chdir d", 1, "chdir .."),
        ("open h d/f O_RDONLY", 1, nil), ("open h d/new O_CREAT|O_WRONLY", 3, "unlink d/new"), ("open h d O_TMPFILE|O_RDWR 600", 3, nil),
        ("mkdir d/m", 3, "rmdir d/m"), ("mknod d/p 10644", 3, "unlink d/p"), ("symlink x d/l", 3, "unlink d/l"),
        ("unlink d/mine", 3, nil), ("rename d/f d/g", 3, "rename d/g d/f"), ("rename d/f out/f", 3, "rename out/f d/f"),
        ("rename in d/in", 3, "rename d/in in"), ("link own d/own", 3, "unlink d/own"), ("rmdir d/full", 3, nil),
        ("readlink d/sym", 1, nil), ("access d R", 4, nil), ("access d W", 2, nil), ("access d X", 1, nil),
    ]

    @Test(arguments: Kind.all) func everyModeOfADirectory(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                root: mkdir d
                root: mkdir d/full
                root: open f d/full/f O_CREAT|O_RDWR
                root: mkdir out 777
                root: symlink target d/sym
                root: open f in O_CREAT|O_RDWR 666
                root: open f d/f O_CREAT|O_RDWR 666
                root: chown d 1001 2001
                """)
            for (name, shift) in Self.relations {
                try place.expect(name, "open own own O_CREAT|O_RDWR 666")
                for bits in 0..<8 {
                    try place.expect("root", "chmod d \(Self.mode(bits, at: shift))")
                    try place.expect("root", "open f d/mine O_CREAT|O_RDWR 666")
                    for (command, needs, undo) in Self.onDirectory {
                        let reply = try place.call(name, command)
                        if bits & needs != needs {
                            #expect(reply == "EACCES", "\(name), \(bits): \(command)")
                        } else {
                            #expect(reply != "EACCES" && reply != "EPERM", "\(name), \(bits): \(command) gives \(reply)")
                            if let undo { try place.expect(undo == "chdir .." ? name : "root", undo) }
                        }
                    }
                }
                try place.expect("root", "unlink own")
            }
        }
    }

    /// Everything again, with its exact answers, beside a plain directory; and root's rights.
    @Test(arguments: Kind.mounts) func sameAsAPlainDirectory(_ kind: Kind) throws {
        try compare(kind) { place in
            for name in ["root", "alice", "carol", "bob"] {
                for mode in stride(from: 0, to: 0o1000, by: 0o111) {
                    try place.call("root", "mkdir d")
                    try place.call("root", "open f d/f O_CREAT|O_RDWR")
                    try place.call("root", "chown d/f 1001 2001")
                    try place.call("root", "chown d 1001 2001")
                    try place.call("root", "chmod d/f \(String(mode, radix: 8))")
                    for command in [
                        "chmod d/f 640", "chown d/f -1 2001", "chown d/f -1 2002", "chown d/f 1002 -1", "chown d/f -1 -1",
                        "utimens d/f 100.000000001 200.000000002", "utimens d/f omit 200.000000002", "utimens d/f now omit",
                        "utimens d/f now now", "utimens d/f omit omit", "setxattr d/f user.a 1", "setxattr d/f trusted.a 1",
                        "setxattr d/f security.a 1", "removexattr d/f user.a", "removexattr d/f trusted.a", "listxattr d/f",
                        "setacl d/f access u::rw-,u:1002:rw-,g::r--,m::rw-,o::---", "getacl d/f access",
                        "removexattr d/f system.posix_acl_access",
                        "link d/f d/hard", "unlink d/hard", "open h d/f O_RDONLY|O_NOATIME", "access d/f X", "execute d/f",
                        "mknod d/dev 20666 1", "chmod d 2775", "stat d mode", "chmod d/f 6755", "stat d/f mode,uid,gid", "rename d/f d/g",
                        "unlink d/g",
                    ] { try place.call(name, command) }
                    for command in ["unlink d/f", "unlink d/g", "unlink d/hard", "unlink d/dev", "rmdir d"] {
                        try place.call("root", command)
                    }
                }
            }
        }
    }

    /// Rights are looked at when a file is opened, and not again.
    @Test(arguments: Kind.all) func whatIsOpenStaysOpen(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open a f O_CREAT|O_RDWR 600
                alice: write a text -> 4
                alice: chmod f 000
                alice: read a 4 0 -> text
                alice: write a more -> 4
                alice: ftruncate a 2
                alice: fsync a
                alice: open b f O_RDONLY -> EACCES
                # A mode that would not let its maker in.
                alice: open c g O_CREAT|O_RDWR 000
                alice: write c text -> 4
                alice: open d g O_WRONLY -> EACCES
                root: mkdir deep 777
                alice: mkdir deep/er 777
                alice: chdir deep/er
                root: chmod deep 700
                alice: stat . type -> dir
                alice: open e new O_CREAT|O_WRONLY
                alice: stat .. type -> dir
                alice: stat ../er type -> EACCES
                root: chmod deep 000
                root: stat deep/er type -> dir
                """)
        }
    }
}
