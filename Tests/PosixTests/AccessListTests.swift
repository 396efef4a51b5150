import Testing

/// POSIX access control lists.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct AccessListTests {
    private static func letters(_ bits: Int) -> String {
        "\(bits & 4 != 0 ? "r" : "-")\(bits & 2 != 0 ? "w" : "-")\(bits & 1 != 0 ? "x" : "-")"
    }

    /// A named user, a named group and the owning group, each with every right under every mask.
    @Test(arguments: Kind.all) func everyEntryUnderEveryMask(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play("alice: open f f O_CREAT|O_RDWR 600\nalice: setxattr f user.x 1")
            for entry in ["u:1002", "g:2001", "g"] {
                // Who the entry is about. The owning group is alice's own: carol is made a member by giving it group 2001.
                let name = entry == "u:1002" ? "bob" : "dave"
                try place.expect("root", "chown f 1001 \(entry == "g" ? 2001 : 1001)")
                for bits in 0..<8 {
                    for mask in 0..<8 {
                        let list =
                            entry == "g"
                            ? "u::rwx,u:1009:rwx,g::\(Self.letters(bits)),m::\(Self.letters(mask)),o::rwx"
                            : "u::rwx,\(entry):\(Self.letters(bits)),g::---,m::\(Self.letters(mask)),o::rwx"
                        let sorted = entry == "g:2001" ? "u::rwx,g::---,g:2001:\(Self.letters(bits)),m::\(Self.letters(mask)),o::rwx" : list
                        try place.expect("alice", "setacl f access \(sorted)")
                        try place.expect("alice", "stat f mode", "7\(mask)7")
                        // With an empty mask Linux does not look at the list: who is not in the owning group is one of the others.
                        let rights = mask == 0 && entry != "g" ? 7 : bits & mask
                        for (letter, bit) in [("R", 4), ("W", 2), ("X", 1)] {
                            try place.expect(name, "access f \(letter)", rights & bit != 0 ? "ok" : "EACCES")
                        }
                        try place.expect(name, "open h f O_RDWR", rights & 6 == 6 ? "ok" : "EACCES")
                        try place.expect("carol", "access f R|W|X", entry == "u:1002" || rights == 7 ? "ok" : "EACCES")
                    }
                }
            }
        }
    }

    /// What files and directories get from a default list, for every mode that they are made with.
    @Test(arguments: Kind.mounts) func inheritance(_ kind: Kind) throws {
        try compare(kind) { place in
            let lists = [
                "u::rwx,g::rwx,o::rwx", "u::rw-,g::r--,o::---", "u::rwx,u:1002:rwx,g::r-x,m::rwx,o::---",
                "u::r-x,u:1002:rw-,g::-w-,m::r--,o::--x",
                "u::rwx,g::r-x,g:2001:rwx,m::-wx,o::r--", "u::---,g::---,o::---", "u::rwx,g::rwx,m::r--,o::rwx",
            ]
            for list in lists {
                for mask in ["000", "022", "077"] {
                    try place.call("alice", "mkdir d 777")
                    try place.call("alice", "chmod d 777")
                    try place.call("alice", "setacl d default \(list)")
                    try place.call("alice", "umask \(mask)")
                    for mode in ["777", "666", "640", "000", "4751", "2755", "1777"] {
                        for (command, remove) in [
                            ("open h d/x O_CREAT|O_WRONLY \(mode)", "unlink d/x"), ("mkdir d/x \(mode)", "rmdir d/x"),
                            ("mknod d/x 10\(mode)", "unlink d/x"),
                            ("symlink y d/x", "unlink d/x"),
                        ] {
                            if command.hasPrefix("mknod"), mode.count > 3 { continue }
                            try place.call("alice", command)
                            for look in ["lstat d/x mode", "getacl d/x access", "getacl d/x default", "listxattr d/x"] {
                                try place.call("alice", look)
                            }
                            try place.call("alice", remove)
                        }
                        try place.call("alice", "open t d O_TMPFILE|O_RDWR \(mode)")
                        try place.call("alice", "fstat t mode")
                    }
                    try place.call("alice", "chmod d 777")
                    try place.call("alice", "rmdir d")
                    try place.call("alice", "umask 000")
                }
            }
        }
    }

    /// chmod changes the mask where there is one, and lists are seen in the mode.
    @Test(arguments: Kind.mounts) func modesAndLists(_ kind: Kind) throws {
        try compare(kind) { place in
            for list in [
                "u::rwx,u:1002:rw-,g::r-x,m::rwx,o::r--", "u::rw-,g::rw-,m::r--,o::---", "u::rwx,g::r-x,o::r-x",
                "u::r--,g::---,g:2001:rwx,m::---,o::---",
            ] {
                for mode in ["777", "640", "000", "070", "4755", "2750", "707"] {
                    try place.call("alice", "open f f O_CREAT|O_RDWR 644")
                    for command in [
                        "setacl f access \(list)", "stat f mode", "getacl f access", "chmod f \(mode)", "stat f mode", "getacl f access",
                        "listxattr f",
                    ] { try place.call("alice", command) }
                    for name in ["bob", "dave", "carol"] { for letter in ["R", "W", "X"] { try place.call(name, "access f \(letter)") } }
                    try place.call("alice", "removexattr f system.posix_acl_access")
                    try place.call("alice", "stat f mode")
                    try place.call("alice", "getacl f access")
                    try place.call("alice", "unlink f")
                }
            }
        }
    }

    @Test(arguments: Kind.mounts) func whatIsRefused(_ kind: Kind) throws {
        try compare(kind) { place in
            try place.call("alice", "open f f O_CREAT|O_RDWR 644")
            try place.call("alice", "mkdir d 755")
            try place.call("alice", "symlink f l")
            for target in ["f", "d"] {
                for kind in ["access", "default"] {
                    for list in [
                        "-", "u::rwx", "u::rwx,g::rwx", "u::rwx,u:5:r--,g::rwx,o::rwx", "u::rwx,g::rwx,m::rwx,m::rwx,o::rwx",
                        "o::rwx,g::rwx,u::rwx",
                        "u::rwx,u:5:r--,u:5:r--,g::rwx,m::rwx,o::rwx", "u::rwx,u:6:r--,u:5:r--,g::rwx,m::rwx,o::rwx",
                        "u::rwx,g::rwx,o::rwx",
                        "u::rwx,u:5:r--,g::rwx,m::rwx,o::rwx",
                    ] {
                        try place.call("alice", "setacl \(target) \(kind) \(list)")
                        try place.call("alice", "getacl \(target) \(kind)")
                        try place.call("bob", "setacl \(target) \(kind) \(list)")
                    }
                    try place.call("bob", "removexattr \(target) system.posix_acl_\(kind)")
                    try place.call("alice", "removexattr \(target) system.posix_acl_\(kind)")
                    try place.call("alice", "removexattr \(target) system.posix_acl_\(kind)")
                    try place.call("alice", "setxattr \(target) system.posix_acl_\(kind) rubbish")
                    try place.call("alice", "setxattr \(target) system.posix_acl_\(kind) %01~*3")
                }
            }
            try place.call("alice", "lsetxattr l system.posix_acl_access %02~*3")
            try place.call("alice", "lgetxattr l system.posix_acl_access")
            // Who is not in the file's group loses the set-group-ID bit by setting a list.
            try place.call("root", "chown f 1001 2001")
            try place.call("root", "chmod f 2755")
            try place.call("alice", "setacl f access u::rwx,u:5:r--,g::rwx,m::rwx,o::rwx")
            try place.call("alice", "stat f mode")
        }
    }

    /// Also after the kernel has forgotten what it knew.
    @Test(arguments: Kind.all) func listsAreKept(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let list = "u::rwx,u:1002:rw-,g::r-x,g:2001:r--,m::rwx,o::---"
            try place.play("alice: mkdir d\nalice: setacl d default \(list)\nalice: setacl d access \(list)")
            try place.remount()
            try place.play(
                """
                alice: getacl d default -> \(list)
                alice: getacl d access -> \(list)
                alice: stat d mode -> 770
                alice: open f d/f O_CREAT|O_RDWR 666
                alice: getacl d/f access -> u::rw-,u:1002:rw-,g::r-x,g:2001:r--,m::rw-,o::---
                carol: access d/f R -> EACCES
                alice: setacl d access u::rwx,g::rwx,g:2001:r-x,m::rwx,o::---
                carol: open h d/f O_RDONLY
                carol: open h d/f O_RDWR -> EACCES
                bob: open h d/f O_RDWR -> EACCES
                """)
        }
    }
}
