import Testing

/// Sticky and set-group-ID directories, groups, and what takes the set-ID bits away.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct OwnershipTests {
    @Test(arguments: Kind.all) func stickyDirectories(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                carol: mkdir s 1777
                carol: chmod s 1777
                alice: open f s/f O_CREAT|O_RDWR 666
                alice: mkdir s/d 777
                alice: symlink x s/l
                bob: open h s/f O_RDWR
                bob: unlink s/f -> EPERM
                bob: rmdir s/d -> EPERM
                bob: unlink s/l -> EPERM
                bob: rename s/f s/g -> EPERM
                bob: rename s/f stolen -> EPERM
                bob: open f s/own O_CREAT|O_RDWR
                bob: rename s/own s/f -> EPERM
                bob: rename2 s/own s/f EXCHANGE -> EPERM
                bob: rename s/own s/mine
                alice: rename s/f s/g
                alice: rename2 s/g s/mine EXCHANGE -> EPERM
                # The directory's owner may all of it, and so may root.
                carol: rename s/g s/f
                carol: unlink s/mine
                carol: rmdir s/d
                root: unlink s/l
                carol: rename s/f taken
                # Without the bit others may.
                carol: chmod s 777
                alice: open f s/f O_CREAT|O_RDWR 600
                bob: unlink s/f
                """)
        }
    }

    /// Every owner of the directory, of the moved and of the replaced file.
    @Test(arguments: Kind.mounts) func everyOwnerInAStickyDirectory(_ kind: Kind) throws {
        try compare(kind) { place in
            let owners = [0, 1001, 1002]
            for directory in owners {
                for from in owners {
                    for to in owners {
                        try place.call("root", "mkdir s 1777")
                        try place.call("root", "mkdir plain 777")
                        for name in ["s/a", "s/b", "plain/c"] { try place.call("root", "open f \(name) O_CREAT|O_RDWR 666") }
                        try place.call("root", "chown s \(directory) 0")
                        try place.call("root", "chown s/a \(from) 0")
                        try place.call("root", "chown s/b \(to) 0")
                        for command in [
                            "rename2 s/a s/b EXCHANGE", "rename s/a s/b", "rename s/b plain/c", "rename plain/c s/b", "unlink s/b",
                        ] {
                            try place.call("alice", command)
                        }
                        for command in ["unlink s/a", "unlink s/b", "unlink plain/c", "rmdir s", "rmdir plain"] {
                            try place.call("root", command)
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: Kind.all) func setGroupIDDirectories(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                root: mkdir s 2777
                root: chmod s 2777
                root: chown s 0 2001
                root: stat s mode,gid -> 2777,2001
                # Who makes something there gives it the directory's group; directories get the bit as well.
                alice: open f s/f O_CREAT|O_RDWR 644
                alice: stat s/f mode,uid,gid -> 644,1001,2001
                alice: mkdir s/d 755
                alice: stat s/d mode,uid,gid -> 2755,1001,2001
                alice: mkdir s/d/e 700
                alice: stat s/d/e mode,gid -> 2700,2001
                alice: symlink x s/l
                alice: lstat s/l uid,gid -> 1001,2001
                alice: mknod s/p 10644
                alice: stat s/p gid -> 2001
                # A file that its group may execute loses the bit where its maker is not in that group.
                alice: open f s/x O_CREAT|O_RDWR 2755
                alice: stat s/x mode,gid -> 755,2001
                alice: open f s/y O_CREAT|O_RDWR 2745
                alice: stat s/y mode -> 2745
                carol: open f s/z O_CREAT|O_RDWR 2755
                carol: stat s/z mode,gid -> 2755,2001
                alice: mknod s/n 102755
                alice: stat s/n mode -> 755
                # Not moved in, but made.
                alice: open f g O_CREAT|O_RDWR 644
                alice: rename g s/g
                alice: stat s/g gid -> 1001
                alice: open t s O_TMPFILE|O_RDWR 2755
                alice: fstat t gid,mode -> 2001,755
                alice: mkdir plain 2755
                alice: stat plain mode -> 755
                """)
        }
    }

    @Test(arguments: Kind.all) func groups(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                carol: open f f O_CREAT|O_RDWR 640
                carol: stat f uid,gid -> 1003,1003
                # To a group that one is in, and to no other; the owner stays.
                carol: chown f -1 2002
                carol: chown f -1 2001
                carol: chown f -1 2003 -> EPERM
                carol: chown f 1001 -1 -> EPERM
                carol: chown f 1003 2001
                dave: open h f O_RDONLY
                dave: open h f O_RDWR -> EACCES
                dave: chown f -1 2001 -> EPERM
                bob: open h f O_RDONLY -> EACCES
                # The set-group-ID bit is not for who is not in the group.
                carol: chmod f 2755
                carol: stat f mode -> 2755
                root: chown f 1003 2003
                root: chmod f 755
                carol: chmod f 2755
                carol: stat f mode -> 755
                root: chmod f 2755
                root: stat f mode -> 2755
                # Sticky files are everybody's own matter on Linux.
                carol: chmod f 1644
                carol: stat f mode -> 1644
                """)
        }
    }

    private static let changes = [
        "write h x 0", "write d x*4096 0", "poke m 0 x", "ftruncate h 1", "truncate f 2", "fallocate h PLAIN 0 10000",
        "fallocate h PUNCH_HOLE|KEEP_SIZE 0 4096",
        "fallocate h ZERO_RANGE 0 4096", "copy s 0 h 0 10", "open t f O_WRONLY|O_TRUNC", "chown f 1001 -1",
        "chown f -1 2001",
        "chmod f 6777", "utimens f now now", "setxattr f user.a 1", "write h - 0",
    ]

    /// What takes set-user-ID and set-group-ID from which mode, and from whose hand. chown(2) that changes neither owner nor group is left out:
    /// the kernel's FUSE does not tell the server of it.
    @Test(arguments: Kind.mounts) func whatClearsSetIDs(_ kind: Kind) throws {
        try compare(kind) { place in
            for name in ["root", "alice", "bob", "carol"] {
                for mode in ["6777", "6767", "4777", "2777", "2767", "6666", "777"] {
                    for change in Self.changes {
                        try place.call("root", "open f f O_CREAT|O_RDWR")
                        try place.call("root", "write f o*10000 0")
                        try place.call("root", "chown f 1001 2001")
                        for command in ["open h f O_RDWR", "open d f O_RDWR|O_DIRECT", "open s f O_RDONLY", "map m h 4096"] {
                            try place.call("root", "chmod f 666")
                            try place.call(name, command)
                        }
                        try place.call("root", "chmod f \(mode)")
                        // Bytes are copied from another file: from itself the kernels differ in when they look.
                        if change.hasPrefix("copy") {
                            try place.call("root", "open o other O_CREAT|O_RDWR 666")
                            try place.call("root", "write o 0123456789 0")
                            try place.call(name, "open s other O_RDONLY")
                        }
                        try place.call(name, change)
                        if change.hasPrefix("poke") { try place.call(name, "msync m") }
                        try place.call(name, "fstat h mode")
                        try place.call(name, "unmap m")
                        try place.call("root", "stat f mode")
                        try place.call("root", "unlink f")
                    }
                }
            }
        }
    }

    /// Capabilities of a program go with its content and owner.
    @Test(arguments: Kind.all) func capabilities(_ kind: Kind) throws {
        try Place.with(kind) { place in
            // struct vfs_cap_data of version 2: CAP_NET_RAW.
            let capability = "%01~~%02~%20~~+~*12"
            for change in ["write f x 0", "ftruncate f 1", "chown f 1001 1001", "truncate f 2"] {
                try place.expect("root", "open f f O_CREAT|O_RDWR 777")
                try place.expect("root", "write f o*1000+ld 0", "1002")
                try place.expect("root", "setxattr f security.capability \(capability)")
                try place.call("root", "chmod f 777")
                // What was written before and reaches the volume only now takes nothing away.
                for command in ["chmod f 755", "fsync f"] { try place.expect("root", command) }
                try place.expect("root", "getxattr f security.capability 0", "20")
                try place.call("root", change)
                try place.expect("root", "getxattr f security.capability 0", "ENODATA")
                try place.expect("root", "unlink f")
            }
        }
    }
}
