import Glibc
import LinuxTesting
import Syscalls
import SystemPackage
import Testing

/// What the kernel tells programs about files: events, handles, attributes by name, room.
@Suite(.enabled(if: isRoot, needsRoot), .serialized) struct KernelViewTests {
    /// The same events as in a plain directory, in the same order.
    @Test(arguments: Kind.mounts) func events(_ kind: Kind) throws {
        try compare(kind) { place in
            for command in [
                "mkdir d 777", "mkdir e 777", "open f d/f O_CREAT|O_RDWR 666", "close f", "watch w d", "watch w e", "watch w d/f",
            ] {
                try place.call("alice", command)
            }
            for command in [
                "open f d/f O_RDWR", "write f text 0", "read f 4 0", "ftruncate f 2", "fallocate f PLAIN 0 100", "close f",
                "open f d/f O_RDONLY", "close f",
                "truncate d/f 0", "open f d/f O_WRONLY|O_TRUNC", "close f", "chmod d/f 600", "utimens d/f 1.0 1.0", "setxattr d/f user.a 1",
                "link d/f e/l",
                "open f d/new O_CREAT|O_RDWR", "close f", "mkdir d/dir", "symlink x d/sym", "mknod d/p 10644", "rename d/new d/newer",
                "rename d/newer e/newer",
                "rename2 d/p e/newer EXCHANGE", "rename d/dir e/dir", "unlink d/sym", "rmdir e/dir", "list d", "open t d O_TMPFILE|O_RDWR",
                "linkfd t d/tmp", "close t",
                "unlink e/l", "rename d/f d/g", "unlink d/g", "stat d nlink", "unlink d/p", "unlink d/tmp", "unlink e/newer", "rmdir e",
            ] {
                try place.call("bob", "stat d type")
                try place.call("alice", command)
                try place.call("alice", "events w")
            }
        }
    }

    @Test(arguments: Kind.all) func handles(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let root = place.path
            try place.play(
                """
                root: mkdir d
                root: mkdir d/e
                root: open f d/f O_CREAT|O_RDWR
                root: write f content 0 -> 7
                root: handle f d/f
                root: handle d d/e
                root: handle gone d/f
                root: handleopen h f \(root) O_RDONLY
                root: read h 10 -> content
                root: rename d/f d/e/g
                root: handleopen h f \(root) O_RDWR
                root: write h moved!! 0 -> 7
                root: handleopen h d \(root) O_RDONLY|O_DIRECTORY
                root: fstat h type -> dir
                root: open x x O_CREAT|O_RDWR
                root: handle x x
                root: close x
                root: unlink x
                """)
            try Self.untilStale(place, "x")
            try place.play(
                """
                root: link d/e/g second
                root: unlink d/e/g
                root: handleopen h f \(root) O_RDONLY
                root: read h 10 -> moved!!
                """)
            // An unlinked file that is open is still there for who has its handle.
            try place.play(
                "root: unlink second\nroot: handleopen h f \(root) O_RDONLY\nroot: fstat h nlink -> 0\nroot: close f\nroot: close h")
            try Self.untilStale(place, "f")
        }
    }

    /// A FUSE server learns a moment later that the kernel has let go of a file, and so long gives it out.
    private static func untilStale(_ place: Place, _ handle: String) throws {
        for _ in 0..<10_000 where try place.call("root", "handleopen h \(handle) \(place.path) O_RDONLY") == "ok" {
            try place.play("root: close h\nroot: tick")
        }
        try place.expect("root", "handleopen h \(handle) \(place.path) O_RDONLY", "ESTALE")
    }

    /// The kernel has forgotten all, and finds the files again by number.
    @Test(arguments: Kind.all) func handlesOutliveTheKernelsMemory(_ kind: Kind) throws {
        try Place.with(kind) { place in
            try place.play(
                "root: mkdir d\nroot: mkdir d/e\nroot: open f d/e/f O_CREAT|O_RDWR\nroot: write f content 0 -> 7\nroot: open g gone O_CREAT|O_RDWR"
            )
            let (file, directory, gone) = (
                FileHandle(place.path + "/d/e/f"), FileHandle(place.path + "/d/e"), FileHandle(place.path + "/gone")
            )
            try place.play("root: rename d/e e\nroot: unlink gone")
            try place.remount()
            #expect(try file?.read(in: place.path) == Array("content".utf8))
            let opened = try #require(try directory?.open(in: place.path, O_RDONLY | O_DIRECTORY))
            let descriptor = OwnedDescriptor(adopting: opened)
            #expect(try names(in: "/proc/self/fd/\(descriptor.rawValue)").sorted() == [".", "..", "f"])
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/fd/\(descriptor.rawValue)", &target, target.count)
            #expect(String(decoding: target[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self) == place.path + "/e")
            #expect(throws: Errno(rawValue: ESTALE)) { _ = try gone?.open(in: place.path, O_RDONLY) }
        }
    }

    @Test(arguments: Kind.all) func attributesByName(_ kind: Kind) throws {
        try Place.with(kind) { place in
            let longest = "user." + String(repeating: "n", count: 250)
            try place.play(
                """
                alice: open f f O_CREAT|O_RDWR
                alice: mkdir d
                alice: symlink f l
                alice: mknod p 10644
                alice: listxattr f -> -
                alice: getxattr f user.a -> ENODATA
                alice: setxattr f user.a value REPLACE -> ENODATA
                alice: setxattr f user.a value CREATE
                alice: setxattr f user.a value CREATE -> EEXIST
                alice: setxattr f user.a other REPLACE
                alice: getxattr f user.a -> other
                alice: getxattr f user.a 0 -> 5
                alice: getxattr f user.a 4 -> ERANGE
                alice: getxattr f user.a 5 -> other
                alice: setxattr f user.empty -
                alice: getxattr f user.empty -> -
                alice: setxattr f \(longest) x
                alice: getxattr f \(longest) -> x
                alice: setxattr f \(longest)n x -> ERANGE
                alice: listxattr f -> user.a user.empty \(longest)
                alice: removexattr f \(longest)
                alice: removexattr f \(longest) -> ENODATA
                alice: setxattr f user. x -> EINVAL
                alice: setxattr f - x -> ERANGE
                alice: setxattr f nothing x -> EOPNOTSUPP
                alice: setxattr f other.name x -> EOPNOTSUPP
                alice: setxattr f system.other x -> EOPNOTSUPP
                alice: setxattr f trusted.a x -> EPERM
                alice: getxattr f trusted.a -> ENODATA
                root: setxattr f trusted.a x
                root: listxattr f -> trusted.a user.a user.empty
                alice: listxattr f -> user.a user.empty
                alice: getxattr f trusted.a -> ENODATA
                root: getxattr f trusted.a -> x
                alice: setxattr f security.a x -> EPERM
                root: setxattr f security.a x
                alice: getxattr f security.a -> x
                # Only files and directories have attributes of users.
                alice: lsetxattr l user.a x -> EPERM
                alice: setxattr p user.a x -> EPERM
                alice: lgetxattr l user.a -> ENODATA | ENODATA
                root: lsetxattr l trusted.a x
                root: lgetxattr l trusted.a -> x
                alice: setxattr d user.a x
                bob: setxattr d user.a x -> EACCES
                bob: getxattr d user.a -> x
                alice: chmod f 600
                bob: getxattr f user.a -> EACCES
                bob: removexattr f user.a -> EACCES
                # In a sticky directory only its owner sets them on it.
                alice: chmod d 1777
                bob: setxattr d user.a x -> EPERM
                alice: setxattr d user.a y
                alice: setxattr f user.big x*3000
                alice: setxattr f user.huge x*65537 -> E2BIG
                """)
            try place.remount()
            try place.play("alice: getxattr f user.big -> x*3000\nalice: getxattr f user.empty -> -\nroot: lgetxattr l trusted.a -> x")
            guard kind != .plain else { return }
            try place.play("alice: setxattr f user.largest x*65536\nalice: getxattr f user.largest -> x*65536\nalice: unlink f")
        }
    }

    /// The numbers of statfs(2) follow what is written and deleted. On a storage of its own, which nobody else uses.
    @Test(arguments: Kind.mounts) func roomIsToldTruly(_ kind: Kind) throws {
        try Place.with(kind, onMemory: true) { place in
            struct Room {
                var blockSize, blocks, free, available, files, freeFiles, longestName: Int
            }
            func room() throws -> Room {
                let numbers = try place.call("alice", "statfs .").split(separator: " ").compactMap { Int($0) }
                guard numbers.count == 7 else { throw Errno.protocolError }
                return Room(
                    blockSize: numbers[0], blocks: numbers[1], free: numbers[2], available: numbers[3], files: numbers[4],
                    freeFiles: numbers[5],
                    longestName: numbers[6])
            }
            try place.play("root: chmod . 777\nalice: open f first O_CREAT|O_RDWR\nalice: write f x*1000000 0 -> 1000000\nalice: fsync f")
            let before = try room()
            #expect(before.blockSize == 4096 && before.longestName == 255)
            #expect(before.blocks * before.blockSize == Place.memoryBytes)
            #expect(before.available <= before.free && before.free < before.blocks)
            #expect(before.freeFiles <= before.files && before.freeFiles > 100_000)
            try place.play("alice: open f f O_CREAT|O_RDWR")
            let megabytes = 100
            for index in 0..<megabytes { try place.expect("alice", "write f \("abc".dropFirst(index % 3).prefix(1))*1048576", "1048576") }
            try place.expect("alice", "fsync f")
            let full = try room()
            let used = (before.available - full.available) * 4096
            // What was reserved ahead before may be used now, so it may be less than what was written by that.
            #expect(used > (megabytes - 10) << 20 && used < (megabytes + 70) << 20, "\(used)")
            // More than there is cannot be reserved, and what is told to be there can be written.
            try place.expect("alice", "fallocate f KEEP_SIZE 0 \(Place.memoryBytes)", "ENOSPC")
            // What is deleted is free when two checkpoints have let go of it, and each end makes one.
            try place.play("alice: close f\nalice: unlink f")
            for _ in 0..<2 { try place.remount() }
            let after = try (before.available - room().available) * 4096
            #expect(after < 70 << 20, "\(after)")
        }
    }
}
