import ChunkStore
import Glibc
import LinuxTesting
import MetadataStore
import Mount
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// The real file system behind a real mount, used as programs use it. Needs /dev/fuse and root; fails without.
@Suite(.serialized) struct MountedVolumeTests {
    @Test func treeSurvivesARemount() throws {
        let mount = try MountedFixture()
        try mount.run(
            """
            mkdir -p tree/a/b; cp -a /usr/include/linux tree/; ln -s ../a tree/link; mkfifo tree/fifo; mknod tree/null c 1 3
            printf data > tree/a/file; ln tree/a/file tree/a/hard; touch -d '1969-07-20 20:17:40.123456789 UTC' tree/a/old
            chmod 4751 tree/a/file; chown 12:34 tree/link -h; setfattr -n user.key -v value tree/a/file 2>/dev/null || true
            tar -cf /tmp/mount-test-before.tar --numeric-owner --sort=name tree
            """)
        try mount.remount()
        try mount.run(
            """
            tar -cf /tmp/mount-test-after.tar --numeric-owner --sort=name tree
            cmp /tmp/mount-test-before.tar /tmp/mount-test-after.tar
            rm /tmp/mount-test-before.tar /tmp/mount-test-after.tar
            diff -r /usr/include/linux tree/linux
            test "$(stat -c %y tree/a/old)" = "$(TZ= date -d '1969-07-20 20:17:40.123456789 UTC' '+%F %T.%N +0000')" || \
            test "$(stat -c %Y tree/a/old)" = -14182940
            test "$(stat -c %h tree/a/file)" = 2
            rm -r tree; test -z "$(ls -A)"
            """)
        try mount.unmount()
        #expect(mount.chunks.segments.isEmpty || mount.metadata.liveBytes.values.allSatisfy { $0 == 0 })
    }

    @Test func contentsOfAllSizes() throws {
        let mount = try MountedFixture()
        let sizes = [0, 1, 100, 2047, 2048, 2049, 4095, 4096, 4097, 65536, 131071, 1 << 20, (1 << 20) + 1, 5_000_001]
        func content(_ size: Int) -> [UInt8] {
            // Distinct blocks, made by copying: unoptimised code is slow byte by byte.
            var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size)
            for at in stride(from: 0, to: size, by: 509) { bytes[at] = UInt8(truncatingIfNeeded: at / 509 &* 7) }
            return bytes
        }
        for size in sizes { try writeFile(mount.path("f\(size)"), content(size)) }
        for size in sizes { #expect(try readFile(mount.path("f\(size)")) == content(size)) }
        try mount.remount()
        for size in sizes { #expect(try readFile(mount.path("f\(size)")) == content(size), "\(size) after a remount") }
        try mount.unmount()
    }

    @Test func opensWithoutOpening() throws {
        let mount = try MountedFixture()
        try writeFile(mount.path("f"), Array("old content".utf8))
        // O_TRUNC and O_APPEND must hold although no OPEN is sent.
        try mount.run("printf new > f; printf er >> f; test \"$(cat f)\" = newer; : > f; test ! -s f")
        let file = try openFile(mount.path("f"), O_RDWR)
        try checked(unlink(mount.path("f")))
        try [1, 2, 3].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 4096) }
        try file.sync()
        #expect(try file.status().st_size == 4099)
        #expect(try file.status().st_nlink == 0)
        #expect(access(mount.path("f"), F_OK) == -1)
    }

    @Test func temporaryFiles() throws {
        let mount = try MountedFixture()
        let file = try openFile(mount.path, temporaryFileFlag | O_RDWR, mode: 0o640)
        try Array("temporary".utf8).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        try checked(linkat(AT_FDCWD, "/proc/self/fd/\(file.rawValue)", AT_FDCWD, mount.path("named"), AT_SYMLINK_FOLLOW))
        #expect(try readFile(mount.path("named")) == Array("temporary".utf8))
        _ = consume file
        try mount.remount()
        #expect(try readFile(mount.path("named")) == Array("temporary".utf8))
        #expect(try status(mount.path("named")).st_mode == S_IFREG | 0o640)
        try mount.unmount()
    }

    @Test func umaskAndModes() throws {
        let mount = try MountedFixture()
        try mount.run(
            """
            umask 027; : > f; mkdir d; mkfifo p
            test "$(stat -c %a f d p | tr '\\n' ' ')" = "640 750 640 "
            mkdir -m 2775 s; chown 0:77 s; : > s/child; mkdir s/sub
            test "$(stat -c %g s/child s/sub | tr '\\n' ' ')" = "77 77 "; test "$(stat -c %a s/sub)" = 2750
            """)
        try mount.unmount()
    }

    /// A default ACL replaces the umask; chmod keeps the mask in step.
    @Test func accessControlLists() throws {
        let mount = try MountedFixture { $0.allowOther = true }
        func entry(_ tag: UInt16, _ permissions: UInt16, _ id: UInt32 = .max) -> [UInt8] {
            [UInt8(tag), 0, UInt8(permissions), 0] + withUnsafeBytes(of: id.littleEndian) { Array($0) }
        }
        let list = [2, 0, 0, 0] + entry(1, 7) + entry(2, 6, 1000) + entry(4, 5) + entry(16, 7) + entry(32, 0)
        try checked(mkdir(mount.path("d"), 0o755))
        try checked(setxattr(mount.path("d"), "system.posix_acl_default", list, 0))
        try mount.run("umask 077; : > d/f; test \"$(stat -c %a d/f)\" = 660")
        #expect(getxattr(mount.path("d/f"), "system.posix_acl_access", nil, 0) == list.count)
        try mount.run("echo granted > d/f; chmod 777 d; chmod 755 .")
        try mount.run("test \"$(cat d/f)\" = granted", asUser: 1000)
        let refused = try shell("cat d/f", in: mount.path, asUser: 1001)
        #expect(refused.status != 0)
    }

    @Test func permissionsOfOtherUsers() throws {
        let mount = try MountedFixture { $0.allowOther = true }
        try mount.run("chmod 755 .; mkdir -m 1777 shared; mkdir -m 700 private; echo secret > private/f; echo open > shared/root")
        try mount.run(
            """
            ! cat private/f 2>/dev/null; ! ls private 2>/dev/null; ! rm -f shared/root 2>/dev/null; ! touch top 2>/dev/null
            echo mine > shared/mine; chmod 600 shared/mine; test "$(stat -c %u shared/mine)" = 1000
            """, asUser: 1000)
        // A file is created with a mode that would not let its maker open it for writing.
        try mount.run("(umask 0333; echo text > shared/readonly); test \"$(cat shared/readonly)\" = text", asUser: 1000)
        try mount.run("! cat shared/mine 2>/dev/null; ! mv shared/mine shared/stolen 2>/dev/null", asUser: 1001)
        // A write by somebody else takes set-user-ID away.
        try mount.run("printf x > shared/suid; chmod 6777 shared/suid; test \"$(stat -c %a shared/suid)\" = 6777")
        try mount.run("printf y | dd of=shared/suid oflag=append conv=notrunc,nocreat status=none", asUser: 1001)
        try mount.run("test \"$(stat -c %a shared/suid)\" = 777")
        try mount.unmount()
    }

    @Test func othersStayOut() throws {
        let alone = try MountedFixture()
        try alone.run("chmod 777 .; echo x > f; chmod 666 f")
        #expect(try shell("cat f", in: alone.path, asUser: 1000).status != 0)
        try alone.unmount()

        let rootToo = try MountedFixture { $0.allowRoot = true }
        try rootToo.run("chmod 777 .; echo x > f; chmod 666 f; cat f")
        #expect(try shell("cat f", in: rootToo.path, asUser: 1000).status != 0)
        #expect(try shell("true", in: rootToo.path, asUser: 1000).status != 0)
        #expect(try status(rootToo.path).st_mode & 0o77 == 0)
        // Neither does who owns the volume's root directory, or was let in by name.
        try rootToo.run("chown 1000 .; chmod 777 .")
        #expect(try shell("ls", in: rootToo.path, asUser: 1000).status != 0)
        #expect(try status(rootToo.path).st_uid == getuid() && status(rootToo.path).st_mode & 0o777 == 0o700)
        try rootToo.unmount()
    }

    @Test func attributesOfOtherKinds() throws {
        let mount = try MountedFixture { $0.allowOther = true }
        try mount.run("chmod 755 .; echo x > f; chmod 600 f")
        try checked(setxattr(mount.path("f"), "trusted.t", [1], 0))
        try checked(setxattr(mount.path("f"), "user.u", [1], 0))
        for name in ["system.thing", "system.efs.server", "thing"] {
            #expect(setxattr(mount.path("f"), name, [1], 0) == -1 && errno == EOPNOTSUPP, "\(name)")
            #expect(getxattr(mount.path("f"), name, nil, 0) == -1 && errno == EOPNOTSUPP, "\(name)")
            #expect(removexattr(mount.path("f"), name) == -1 && errno == EOPNOTSUPP, "\(name)")
        }
        #expect(MountedVolume.server(of: mount.path) == getpid())
        try mount.run("test \"$(python3 -c 'import os; print(sorted(os.listxattr(\"f\")))')\" = \"['trusted.t', 'user.u']\"")
        try mount.run("chmod 644 f")
        try mount.run("test \"$(python3 -c 'import os; print(sorted(os.listxattr(\"f\")))')\" = \"['user.u']\"", asUser: 1000)
        try mount.run("python3 -c 'import os; os.setxattr(\"f\", \"system.thing\", b\"x\")' 2>/dev/null && exit 1 || true", asUser: 1000)
        try mount.unmount()
    }

    @Test(.timeLimit(.minutes(1))) func copiesOfVerySparseFiles() throws {
        let mount = try MountedFixture()
        try mount.run("truncate -s 1T sparse; printf end | dd of=sparse bs=1 seek=1099511627776 conv=notrunc status=none; sync sparse")
        let (source, target) = (try openFile(mount.path("sparse"), O_RDONLY), try openFile(mount.path("target"), O_CREAT | O_RDWR))
        var done = 0
        while true {
            let count = copyRange(source.rawValue, target.rawValue, 1 << 40, at: done)
            #expect(count >= 0)
            if count <= 0 { break }
            done += count
        }
        #expect(done == (1 << 40) + 3)
        try mount.run("test \"$(tail -c 3 target)\" = end; test $(stat -c %b target) -lt 100")
    }

    @Test func readOnly() throws {
        let mount = try MountedFixture()
        try mount.run("mkdir d; echo text > d/f")
        try mount.remount { $0.readOnly = true }
        let applied = mount.metadata.currentToken()
        try mount.run("test \"$(cat d/f)\" = text; ! touch d/f 2>/dev/null; ! rm d/f 2>/dev/null; ! mkdir e 2>/dev/null")
        try MountedVolume.synchronize(mount.path)
        try mount.unmount()
        #expect(mount.metadata.currentToken() == applied)
    }

    @Test func holesAndAllocation() throws {
        let mount = try MountedFixture()
        try mount.run(
            """
            truncate -s 20G sparse; printf end | dd of=sparse bs=1 seek=21474836480 conv=notrunc status=none
            test $(stat -c %s sparse) = 21474836483; test $(stat -c %b sparse) -lt 100
            test "$(tail -c 3 sparse)" = end
            head -c 1000000 /dev/urandom > data; cp data copy; fallocate -p -o 4096 -l 8192 copy; sync copy
            head -c 4096 data > want; head -c 8192 /dev/zero >> want; tail -c +12289 data >> want; cmp want copy
            fallocate -l 2M data; test $(stat -c %s data) = 2097152
            cp --reflink=never data again; cmp data again
            """)
        let file = try openFile(mount.path("sparse"), O_RDONLY)
        #expect(lseek(file.rawValue, 0, seekData) >= 21_474_836_480 - 65536)
        #expect(lseek(file.rawValue, 0, seekHole) == 0)
        _ = consume file
        let (source, target) = (try openFile(mount.path("data"), O_RDONLY), try openFile(mount.path("range"), O_CREAT | O_RDWR))
        #expect(copyRange(source.rawValue, target.rawValue, 500_000) == 500_000)
        try mount.run("head -c 500000 data | cmp - range")
    }

    @Test func extendedAttributes() throws {
        let mount = try MountedFixture()
        let path = mount.path("f")
        try writeFile(path, [])
        #expect(getxattr(path, "user.none", nil, 0) == -1 && errno == ENODATA)
        try checked(setxattr(path, "user.large", [UInt8](repeating: 7, count: 65536), 0))
        try checked(setxattr(path, "trusted.t", [1], 0))
        #expect(setxattr(path, "user.large", [1], xattrCreate) == -1 && errno == EEXIST)
        try mount.remount()
        #expect(getxattr(path, "user.large", nil, 0) == 65536)
        #expect(listxattr(path) == "user.large".utf8.count + "trusted.t".utf8.count + 2)
        try checked(removexattr(path, "user.large"))
        #expect(getxattr(path, "user.large", nil, 0) == -1 && errno == ENODATA)
        try mount.unmount()
    }

    @Test func renamesOfAllKinds() throws {
        let mount = try MountedFixture()
        try mount.run("mkdir a b; echo 1 > a/f; echo 2 > b/g; mkdir b/full; touch b/full/x")
        #expect(renameat2(mount.path("a/f"), mount.path("b/g"), 1) == -1 && errno == EEXIST)
        #expect(renameat2(mount.path("a/f"), mount.path("b/g"), 2) == 0)
        try mount.run("test $(cat a/f) = 2; test $(cat b/g) = 1; mv a/f b/g; test $(cat b/g) = 2; test -z \"$(ls a)\"")
        #expect(rename(mount.path("a"), mount.path("b/full")) == -1 && errno == ENOTEMPTY)
        #expect(rename(mount.path("b"), mount.path("b/full/y")) == -1 && errno == EINVAL)
        #expect(renameat2(mount.path("b/g"), mount.path("a/white"), 4) == 0)
        #expect(try status(mount.path("b/g")).st_mode & S_IFMT == S_IFCHR)
        try mount.unmount()
    }

    @Test func sharedMappingAndDirectIO() throws {
        let mount = try MountedFixture()
        try mount.run(
            """
            head -c 3000000 /dev/urandom > /tmp/mount-test-random
            dd if=/tmp/mount-test-random of=f bs=4096 oflag=direct,append conv=notrunc iflag=fullblock status=none || \
            dd if=/tmp/mount-test-random of=f bs=1000 status=none
            cmp /tmp/mount-test-random f; rm /tmp/mount-test-random
            dd if=f of=/dev/null bs=64k iflag=direct status=none
            """)
        let file = try openFile(mount.path("m"), O_CREAT | O_RDWR)
        try file.truncate(to: 1 << 20)
        let memory = mmap(nil, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0)!
        for page in 0..<256 { memory.storeBytes(of: UInt8(page), toByteOffset: page * 4096 + page, as: UInt8.self) }
        try checked(msync(memory, 1 << 20, MS_SYNC))
        var byte: UInt8 = 0
        for page in 0..<256 {
            try checked(pread(file.rawValue, &byte, 1, off_t(page * 4096 + page)))
            #expect(byte == UInt8(page))
        }
        try checked(munmap(memory, 1 << 20))
    }

    @Test func strangeNames() throws {
        let mount = try MountedFixture()
        let long = String(repeating: "n", count: 255)
        try writeFile(mount.path(long), [1])
        #expect(open(mount.path(long + "n"), O_CREAT | O_RDWR, 0) == -1 && errno == ENAMETOOLONG)
        try mount.run("printf x > \"$(printf 'a\\377\\001b')\"; mkdir '  '; touch -- '-n' '*' \"$(printf 'new\\nline')\"")
        try mount.remount()
        #expect(try names(in: mount.path).count == 2 + 6)
        try mount.run("rm -rf -- ./* ; test -z \"$(ls -A)\"")
        try mount.unmount()
    }

    @Test func manyFilesInOneDirectory() throws {
        let mount = try MountedFixture()
        try mount.run("mkdir d; cd d; seq 4000 | xargs touch; test $(ls | wc -l) = 4000; ls | sort -n | tail -1 | grep -qx 4000")
        try mount.remount()
        try mount.run("test $(ls -l d | wc -l) = 4001; rm -r d")
        try mount.unmount()
    }

    @Test func syncReachesTheStore() throws {
        let mount = try MountedFixture()
        try writeFile(mount.path("f"), [UInt8](repeating: 1, count: 100_000))
        let before = mount.metadata.durableCalls
        try MountedVolume.synchronize(mount.path)
        #expect(mount.metadata.durableCalls > before)
        #expect(mount.metadata.durableToken == mount.metadata.currentToken())
        // What was synchronised includes the data that only the kernel had.
        #expect(mount.chunks.bytesWritten >= 100_000)
        try mount.unmount()
    }

    @Test func terminateEndsAMountInUse() throws {
        let mount = try MountedFixture()
        let file = try openFile(mount.path("f"), O_CREAT | O_RDWR)
        try [1, 2, 3].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        #expect { try mount.unmount() } throws: { ($0 as? Failure)?.kind == .busy }
        mount.mounted.terminate()
        mount.wait()
        _ = consume file
        try mount.remount()
        #expect(try readFile(mount.path("f")) == [1, 2, 3])
        try mount.unmount()
    }

    /// What somebody else has mounted over it is left alone, and nothing is lost.
    @Test func terminateUnderAnotherMount() throws {
        let mount = try MountedFixture()
        let file = try openFile(mount.path("f"), O_CREAT | O_RDWR)
        try [1, 2, 3].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        #expect(try shell("mount -t tmpfs none \(mount.path); touch \(mount.path)/theirs", in: "/").status == 0)
        mount.mounted.terminate()
        mount.wait()
        #expect(try names(in: mount.path).contains("theirs"))
        _ = consume file
        #expect(try shell("umount \(mount.path); umount -l \(mount.path)", in: "/").status == 0)
        try mount.remount()
        #expect(try readFile(mount.path("f")) == [1, 2, 3])
        try mount.unmount()
    }

    @Test func fileHandlesResolveAfterForgetting() throws {
        let mount = try MountedFixture()
        try mount.run("mkdir -p a/b; echo deep > a/b/f")
        let handle = try #require(FileHandle(mount.path("a/b/f")))
        try mount.run("echo 2 > /proc/sys/vm/drop_caches")
        #expect(try handle.read(in: mount.path) == Array("deep\n".utf8))
    }

    @Test func clientsAtOnce() throws {
        let mount = try MountedFixture()
        try mount.run(
            """
            for n in 1 2 3 4; do (
              i=0; while [ $i -lt 150 ]; do
                echo "$n $i" > "f$n-$i"; test "$(cat f$n-$i)" = "$n $i"; mv f$n-$i g$n-$i; echo "$n" >> shared; i=$((i + 1))
              done ) & done; wait
            test $(ls | grep -c ^g) = 600; test $(wc -l < shared) = 600
            """)
        try mount.unmount()
    }

    @Test func busyAndMissingMountPoints() throws {
        let mount = try MountedFixture()
        #expect { try MountedVolume.unmount("/tmp/no-such-mount-point") } throws: { ($0 as? Failure)?.kind == .missing }
        let text = String(decoding: try readAll("/proc/self/mounts"), as: UTF8.self)
        #expect(text.contains("test\\040volume \(mount.path) fuse.efs rw,nosuid,nodev,"))
        try mount.unmount()
    }
}
