import Glibc
import Testing

/// Limits of names and paths, and the error of each way in which they cannot be used.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct NameTests {
    private static func name(_ count: Int, _ letter: Character = "n") -> String { String(repeating: letter, count: count) }

    @Test(arguments: Kind.all) func longNames(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let (longest, tooLong) = (Self.name(255), Self.name(256))
            for (make, remove) in [
                ("open f NAME O_CREAT|O_RDWR", "unlink"), ("mkdir NAME", "rmdir"), ("symlink x NAME", "unlink"),
                ("mknod NAME 10644", "unlink"),
                ("link other NAME", "unlink"), ("rename victim NAME", "unlink"),
            ] {
                try place.play("alice: open f other O_CREAT|O_RDWR\nalice: open f victim O_CREAT|O_RDWR")
                try place.expect("alice", make.replacing("NAME", with: tooLong), "ENAMETOOLONG")
                try place.expect("alice", make.replacing("NAME", with: longest))
                try place.expect("alice", "lstat \(tooLong) size", "ENAMETOOLONG")
                try place.expect("alice", "\(remove) \(tooLong)", "ENAMETOOLONG")
                try place.expect("alice", "\(remove) \(longest)")
            }
            // Bytes count, not characters: 127 of two bytes each and one more.
            try place.expect("alice", "mkdir \(String(repeating: "%C3%A4", count: 127))n")
            try place.expect("alice", "mkdir \(String(repeating: "%C3%A4", count: 128))", "ENAMETOOLONG")
            // Any byte but NUL and "/".
            for byte in 1..<256 where byte != 0x2f && byte != 0x2e && byte < 0x80 {
                let text = String(byte, radix: 16)
                try place.expect("bob", "mkdir ./%\(text.count == 1 ? "0" : "")\(text)")
            }
        }
    }

    @Test(arguments: Kind.all) func longPathsAndTargets(_ kind: Kind) throws {
        try Place.with(kind) { place in
            // 4095 bytes with NUL excluded are the longest path and the longest target.
            let deep = (0..<15).map { _ in Self.name(255) }.joined(separator: "/")
            for depth in 1...15 { try place.expect("alice", "mkdir \((0..<depth).map { _ in Self.name(255) }.joined(separator: "/"))") }
            try place.expect("alice", "mkdir \(deep)/\(Self.name(255, "x"))")
            try place.expect("alice", "stat \(deep)/\(Self.name(255, "x")) type", "dir")
            try place.expect("alice", "stat \(deep)/\(Self.name(255, "x"))/y type", "ENAMETOOLONG")
            try place.expect("alice", "symlink \(Self.name(4095)) l")
            try place.expect("alice", "readlink l", "4095-bytes")
            try place.expect("alice", "lstat l size", "4095")
            try place.expect("alice", "symlink \(Self.name(4096)) l2", "ENAMETOOLONG")
            try place.expect("alice", "stat l type", "ENAMETOOLONG")
            try place.remount()
            try place.expect("alice", "readlink l", "4095-bytes")
            try place.expect("alice", "stat \(deep)/\(Self.name(255, "x")) type", "dir")
        }
    }

    @Test(arguments: Kind.all) func loopsOfLinks(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: symlink self self
                alice: symlink b a
                alice: symlink a b
                alice: open f end O_CREAT|O_RDWR
                alice: mkdir d
                alice: symlink ../d d/up
                alice: symlink none dangling
                alice: stat self type -> ELOOP
                alice: stat a type -> ELOOP
                alice: open h a O_RDONLY -> ELOOP
                alice: open h a O_CREAT|O_RDWR -> ELOOP
                alice: chmod a 600 -> ELOOP
                alice: truncate a 0 -> ELOOP
                alice: mkdir a/x -> ELOOP
                alice: rename a/x y -> ELOOP
                alice: lstat a type -> symlink
                alice: readlink a -> b
                alice: open h self O_RDONLY|O_NOFOLLOW -> ELOOP
                alice: open h self O_PATH|O_NOFOLLOW
                alice: stat d/up/up/up/up type -> dir
                alice: stat dangling type -> ENOENT
                alice: open h dangling O_RDONLY -> ENOENT
                alice: open h dangling O_CREAT|O_EXCL|O_RDWR -> EEXIST
                alice: mkdir dangling -> EEXIST
                alice: open h dangling O_CREAT|O_RDWR
                alice: stat none type -> file
                """)
            // 40 links on the way are allowed, and no more.
            try place.expect("alice", "symlink end l0")
            for index in 1...40 { try place.expect("alice", "symlink l\(index - 1) l\(index)") }
            try place.expect("alice", "stat l39 type", "file")
            try place.expect("alice", "stat l40 type", "ELOOP")
        }
    }

    @Test(arguments: Kind.all) func whatIsNotWhatItShouldBe(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: mkdir d
                alice: mkdir d/e
                alice: symlink f l
                alice: symlink d ld
                alice: mknod p 10644
                alice: mknod s 140644
                # Through what is no directory.
                alice: stat f/x type -> ENOTDIR
                alice: open h f/x O_CREAT|O_RDWR -> ENOTDIR
                alice: mkdir f/x -> ENOTDIR
                alice: rename f/x y -> ENOTDIR
                alice: rename d f/x -> ENOTDIR
                alice: link f f/x -> ENOTDIR
                alice: stat f/ type -> ENOTDIR
                alice: stat l/ type -> ENOTDIR
                alice: stat ld/ type -> dir
                alice: lstat ld/ type -> dir
                alice: list f -> ENOTDIR
                alice: open h f O_RDONLY|O_DIRECTORY -> ENOTDIR
                alice: open h l O_RDONLY|O_NOFOLLOW -> ELOOP
                # A directory where none may be.
                alice: open h d O_WRONLY -> EISDIR
                alice: open h d O_RDWR -> EISDIR
                alice: open h d O_CREAT|O_RDWR -> EISDIR
                alice: truncate d 0 -> EISDIR
                alice: unlink d -> EISDIR
                alice: link d d2 -> EPERM
                alice: rename f d -> EISDIR
                alice: rename d f -> ENOTDIR
                alice: rmdir f -> ENOTDIR
                alice: rmdir ld -> ENOTDIR
                alice: rmdir d -> ENOTEMPTY
                alice: rmdir d/. -> EINVAL
                alice: rmdir d/e/.. -> ENOTEMPTY
                alice: unlink d/. -> EISDIR
                alice: rename d/. x -> EBUSY
                alice: rename d d/e/x -> EINVAL
                alice: rename d d/e -> EINVAL
                alice: rename d/e/.. x -> EBUSY
                alice: rename d/e d -> ENOTEMPTY
                alice: mkdir d/. -> EEXIST
                alice: mkdir d/.. -> EEXIST
                alice: mkdir . -> EEXIST
                alice: open h d/new/ O_CREAT|O_RDWR -> EISDIR
                alice: open h new/ O_CREAT|O_RDWR -> EISDIR
                # What is there, or is not.
                alice: mkdir d -> EEXIST
                alice: mkdir l -> EEXIST
                alice: symlink x f -> EEXIST
                alice: mknod f 10644 -> EEXIST
                alice: link f p -> EEXIST
                alice: link f d -> EEXIST
                alice: open h f O_CREAT|O_EXCL|O_RDWR -> EEXIST
                alice: open h none O_RDWR -> ENOENT
                alice: unlink none -> ENOENT
                alice: rmdir none -> ENOENT
                alice: rename none x -> ENOENT
                alice: link none x -> ENOENT
                alice: mkdir none/x -> ENOENT
                alice: symlink - x -> ENOENT
                alice: stat - type -> ENOENT
                alice: readlink f -> EINVAL
                # Special files.
                alice: truncate p 0 -> EINVAL
                alice: open h s O_RDWR -> ENXIO
                alice: open h p O_WRONLY|O_NONBLOCK -> ENXIO
                alice: open h p O_RDWR|O_NONBLOCK
                alice: seek h 0 SET -> ESPIPE
                alice: mknod dev 20666 1 -> EPERM
                root: mknod dev 20666 1
                root: lstat dev type,rdev -> chr,259
                root: open h dev O_RDWR
                root: write h x*100 -> 100
                root: read h 100 -> -
                """)
        }
    }

    /// Links and renames end at the file system's border.
    @Test(arguments: Kind.all) func otherFileSystems(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let other = "/dev/shm/efs-posix-\(getpid())"
            try place.play(
                """
                root: open f f O_CREAT|O_RDWR
                root: mkdir d
                root: open o \(other) O_CREAT|O_RDWR
                root: rename f \(other) -> EXDEV
                root: rename \(other) x -> EXDEV
                root: rename d \(other)d -> EXDEV
                root: link f \(other)x -> EXDEV
                root: link \(other) x -> EXDEV
                root: open t . O_TMPFILE|O_RDWR
                root: linkfd t \(other)x -> EXDEV
                root: copy f 0 o 0 10 -> EXDEV
                root: unlink \(other)
                """)
        }
    }

    /// ext4 ends at 65,000 names; efs at what the kernel can count, which nobody reaches, so `addLink` is tested by FileSystemTests.
    @Test(arguments: Kind.all) func manyNamesOfOneFile(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let isFull = getenv("EFS_TEST_FULL") != nil
            try place.play("alice: open f f O_CREAT|O_RDWR\nalice: mkdir d")
            if isFull {
                try place.expect("alice", "links f 70000", kind == .plain ? "64999 EMLINK" : "70000")
            } else {
                try place.expect("alice", "links f 3000", "3000")
                try place.expect("alice", "stat f nlink", "3001")
                try place.expect("alice", "unlink f-7")
                try place.expect("alice", "fstat f nlink", "3000")
            }
        }
    }

    /// The count of a directory is two and one for each directory in it.
    @Test(arguments: Kind.all) func namesOfDirectories(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                """
                alice: mkdir d
                alice: mkdir e
                alice: stat d nlink -> 2
                alice: mkdir d/a
                alice: mkdir d/b
                alice: open f d/f O_CREAT|O_RDWR
                alice: stat d nlink -> 4
                alice: rename d/a e/a
                alice: stat d nlink -> 3
                alice: stat e nlink -> 3
                alice: rename2 d/f e/a EXCHANGE
                alice: stat d nlink -> 4
                alice: stat e nlink -> 2
                alice: rename d/f d/b
                alice: stat d nlink -> 3
                alice: open dir d/b O_RDONLY|O_DIRECTORY
                alice: rmdir d/b
                alice: stat d nlink -> 2
                alice: fstat dir nlink -> 0
                alice: chdir e
                root: unlink e/a
                root: rmdir e
                # In a directory that is gone nothing can be made.
                alice: open h new O_CREAT|O_RDWR -> ENOENT
                alice: mkdir new -> ENOENT
                alice: link ../d/f new -> ENOENT
                alice: rename ../d new -> ENOENT
                alice: list . -> -
                alice: stat . nlink -> 0
                """)
        }
    }
}
