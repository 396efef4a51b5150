import FUSE
import Glibc
import LinuxTesting
import Synchronization
import Syscalls
import SystemPackage
import Testing

/// Real mounts. They need /dev/fuse; where that is missing they fail and say so, since a pass would mean nothing.
@Suite(.serialized) struct MountTests {
    @Test(arguments: Transports.all) func namesAndTypes(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try checked(mkdir(mount.path("folder"), 0o750))
        try writeFile(mount.path("folder/file"), Array("content".utf8))
        try checked(symlink("folder/file", mount.path("link")))
        try checked(mkfifo(mount.path("fifo"), 0o600))
        try checked(mknod(mount.path("null"), S_IFCHR | 0o666, 259))
        try checked(link(mount.path("folder/file"), mount.path("hard")))

        #expect(try names(in: mount.path).sorted() == [".", "..", "fifo", "folder", "hard", "link", "null"])
        #expect(try status(mount.path("folder")).st_mode == S_IFDIR | 0o750)
        #expect(try status(mount.path("fifo")).st_mode == S_IFIFO | 0o600)
        #expect(try status(mount.path("null")).st_rdev == 259)
        #expect(try status(mount.path("hard")).st_nlink == 2)
        #expect(try readFile(mount.path("link")) == Array("content".utf8))
        var target = [CChar](repeating: 0, count: 100)
        #expect(readlink(mount.path("link"), &target, 100) == 11)

        #expect(rmdir(mount.path("folder")) == -1 && errno == ENOTEMPTY)
        try checked(unlink(mount.path("folder/file")))
        try checked(rmdir(mount.path("folder")))
        #expect(try status(mount.path("hard")).st_nlink == 1)
        #expect(access(mount.path("missing"), F_OK) == -1 && errno == ENOENT)
        #expect(mount.session.transportKind.rawValue == transport.rawValue)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func renames(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("a"), [1])
        try writeFile(mount.path("b"), [2])
        func move(_ from: String, _ to: String, _ flags: UInt32) -> CInt { renameat2(mount.path(from), mount.path(to), flags) }
        #expect(move("a", "b", 1) == -1 && errno == EEXIST)
        #expect(move("a", "c", 1) == 0)
        #expect(move("c", "b", 2) == 0)
        #expect(try readFile(mount.path("c")) == [2])
        #expect(try readFile(mount.path("b")) == [1])
        try checked(rename(mount.path("b"), mount.path("c")))
        #expect(try readFile(mount.path("c")) == [1])
        #expect(access(mount.path("b"), F_OK) == -1)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func dataOfAllSizes(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        for size in [0, 1, 4095, 4096, 4097, 131072, 1 << 20, (1 << 20) + 1, 3_000_000] {
            var content = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size)
            for at in stride(from: 0, to: size, by: 509) { content[at] = UInt8(truncatingIfNeeded: at / 509 &* 7) }
            try writeFile(mount.path("data"), content)
            dropCaches(mount, "data")
            #expect(try readFile(mount.path("data")) == content, "\(size) bytes")
        }
        try mount.unmount()
    }

    /// Makes the kernel ask again.
    private func dropCaches(_ mount: MountedFixture, _ name: String) {
        guard let file = try? openFile(mount.path(name), O_RDONLY) else { return }
        fsync(file.rawValue)
        posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    }

    @Test(arguments: Transports.all) func directIO(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let file = try openFile(mount.path("direct"), O_CREAT | O_RDWR | directIOFlag)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { memory.deallocate() }
        for index in 0..<memory.count { memory[index] = UInt8(truncatingIfNeeded: index / 4096) }
        try file.write(UnsafeRawBufferPointer(memory), at: 4096)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        #expect(try file.read(at: 0, into: memory) == 1 << 20)
        #expect(memory[0] == 0 && memory[4096] == 0 && memory[8192] == 1)
    }

    @Test(arguments: Transports.all) func attributes(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), Array("0123456789".utf8))
        try checked(chmod(mount.path("f"), 0o4711))
        #expect(try status(mount.path("f")).st_mode == S_IFREG | 0o4711)
        try checked(chown(mount.path("f"), 1000, 1001))
        #expect(try status(mount.path("f")).st_uid == 1000)
        #expect(try status(mount.path("f")).st_gid == 1001)
        #expect(try status(mount.path("f")).st_mode == S_IFREG | 0o711)
        let times = [timespec(tv_sec: -5, tv_nsec: 123_456_789), timespec(tv_sec: 1_000_000, tv_nsec: 1)]
        try checked(utimensat(AT_FDCWD, mount.path("f"), times, 0))
        try checked(truncate(mount.path("f"), 4))
        #expect(try readFile(mount.path("f")) == Array("0123".utf8))
        try checked(utimensat(AT_FDCWD, mount.path("f"), times, 0))
        let found = try status(mount.path("f"))
        #expect(found.st_atim.tv_sec == -5 && found.st_atim.tv_nsec == 123_456_789)
        #expect(found.st_mtim.tv_sec == 1_000_000 && found.st_mtim.tv_nsec == 1)
        var statistics = statvfs()
        try checked(statvfs(mount.path, &statistics))
        #expect(statistics.f_blocks == 1000 && statistics.f_bavail == 500 && statistics.f_namemax == 255)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func birthTimes(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), [1])
        let birth = try #require(birthTime(mount.path("f")))
        #expect(birth.mask & 0x800 != 0)
        #expect(birth.seconds > 1_600_000_000)
        #expect(mount.fileSystem.count("statx") > 0)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func extendedAttributes(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let path = mount.path("f")
        try writeFile(path, [])
        var value = [UInt8](repeating: 0, count: 65536)
        try checked(setxattr(path, "user.one", Array("first".utf8), 0))
        try checked(setxattr(path, "user.large", value.map { _ in 9 }, xattrCreate))
        #expect(setxattr(path, "user.one", [1], xattrCreate) == -1 && errno == EEXIST)
        #expect(getxattr(path, "user.one", nil, 0) == 5)
        #expect(getxattr(path, "user.one", &value, 4) == -1 && errno == ERANGE)
        #expect(getxattr(path, "user.one", &value, 100) == 5)
        #expect(Array(value.prefix(5)) == Array("first".utf8))
        #expect(getxattr(path, "user.large", &value, 65536) == 65536 && value.allSatisfy { $0 == 9 })
        #expect(listxattr(path) == 20)
        try checked(removexattr(path, "user.one"))
        #expect(getxattr(path, "user.one", nil, 0) == -1 && errno == ENODATA)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func openUnlinkedAndTemporary(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let file = try openFile(mount.path("gone"), O_CREAT | O_RDWR)
        try checked(unlink(mount.path("gone")))
        try Array("still here".utf8).withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        fsync(file.rawValue)
        posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
        var back = [UInt8](repeating: 0, count: 10)
        #expect(try back.withMutableBytes { (bytes) throws(Errno) in try file.read(at: 0, into: bytes) } == 10)
        #expect(back == Array("still here".utf8))
        #expect(try file.status().st_nlink == 0)

        let temporary = try openFile(mount.path, temporaryFileFlag | O_RDWR)
        try checked(linkat(AT_FDCWD, "/proc/self/fd/\(temporary.rawValue)", AT_FDCWD, mount.path("named"), AT_SYMLINK_FOLLOW))
        #expect(try status(mount.path("named")).st_nlink == 1)
        #expect(mount.fileSystem.count("tmpfile") == 1)
        withExtendedLifetime((file, temporary)) {}
    }

    @Test(arguments: Transports.all) func allocationAndHoles(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), [UInt8](repeating: 1, count: 10000))
        let file = try openFile(mount.path("f"), O_RDWR)
        for mode in [CInt(0), 1, 3, 16, 17] {
            try checked(allocate(file.rawValue, mode: mode, 1000, 100))
            #expect(mount.fileSystem.count("fallocate-\(mode)") == 1)
        }
        #expect(try readFile(mount.path("f"))[1050] == 0)
        #expect(allocate(file.rawValue, mode: 8, 0, 4096) == -1 && errno == EOPNOTSUPP)
        #expect(lseek(file.rawValue, 0, seekHole) == 10000)
        #expect(lseek(file.rawValue, 10, seekData) == 10)
        #expect(mount.fileSystem.count("lseek") == 2)
        let other = try openFile(mount.path("copy"), O_CREAT | O_RDWR)
        #expect(copyRange(file.rawValue, other.rawValue, 5000) == 5000)
        #expect(mount.fileSystem.count("copy_file_range") == 1)
        #expect(try readFile(mount.path("copy")) == Array(try readFile(mount.path("f")).prefix(5000)))
    }

    @Test(arguments: Transports.all) func syncing(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let file = try openFile(mount.path("f"), O_CREAT | O_RDWR)
        try checked(fsync(file.rawValue))
        try checked(fdatasync(file.rawValue))
        let directory = try openFile(mount.path, O_RDONLY | O_DIRECTORY)
        try checked(fsync(directory.rawValue))
        #expect(mount.fileSystem.count("fsync") == 1)
        #expect(mount.fileSystem.count("fdatasync") == 1)
        #expect(mount.fileSystem.count("fsyncdir") == 1)
    }

    /// With no-open, opening and closing sends nothing.
    @Test(arguments: Transports.all) func opensWithoutRequests(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport, .init(answersOpen: false, answersCreate: false, answersFlush: false))
        for index in 0..<20 { try writeFile(mount.path("f\(index)"), [1, 2, 3]) }
        for index in 0..<20 { #expect(try readFile(mount.path("f\(index)")) == [1, 2, 3]) }
        _ = try names(in: mount.path)
        _ = try names(in: mount.path)
        #expect(mount.fileSystem.count("open") <= 1)
        #expect(mount.fileSystem.count("create") == 1)
        #expect(mount.fileSystem.count("opendir") == 1)
        #expect(mount.fileSystem.count("flush") <= 1)
        #expect(mount.fileSystem.count("release") == 0)
        #expect(mount.fileSystem.count("mknod") == 20)
        // O_TRUNC must still truncate.
        try writeFile(mount.path("f0"), [9])
        #expect(try readFile(mount.path("f0")) == [9])
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func largeDirectory(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let wanted = (0..<3000).map { "file-with-a-longer-name-\($0)" }
        for name in wanted { try checked(mknod(mount.path(name), S_IFREG | 0o600, 0)) }
        #expect(try names(in: mount.path).sorted() == ([".", ".."] + wanted).sorted())
        #expect(mount.fileSystem.count("readdirplus") + mount.fileSystem.count("readdir") > 3)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func sharedMapping(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), [UInt8](repeating: 0, count: 8192))
        let file = try openFile(mount.path("f"), O_RDWR)
        let memory = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0)!
        #expect(memory != MAP_FAILED)
        memory.storeBytes(of: 0x55, toByteOffset: 5000, as: UInt8.self)
        try checked(msync(memory, 8192, MS_SYNC))
        try checked(munmap(memory, 8192))
        #expect(try readFile(mount.path("f"))[5000] == 0x55)
    }

    @Test(arguments: Transports.all) func notificationsReachTheKernel(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), Array("old".utf8))
        let inode = try status(mount.path("f")).st_ino
        #expect(access(mount.path("later"), F_OK) == -1)
        // Behind the kernel's back: new content, and a name that it remembers as missing.
        mount.fileSystem.state.withLock { state in
            state.nodes[UInt64(inode)]!.content = Array("new".utf8)
            state.nodes[1]!.add(Array("later".utf8), UInt64(inode))
        }
        #expect(access(mount.path("later"), F_OK) == -1)
        #expect(mount.session.notifier.post(.invalidateInode(NodeID(UInt64(inode)), offset: 0, length: 0)))
        #expect(mount.session.notifier.post(.invalidateEntry(parent: .root, name: Array("later".utf8))))
        mount.session.notifier.drain()
        #expect(access(mount.path("later"), F_OK) == 0)
        #expect(try readFile(mount.path("f")) == Array("new".utf8))
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func fourThreadsAtOnce(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        let path = mount.path
        let threads = (0..<4).map { number in
            WorkerThread(name: "client-\(number)") {
                for index in 0..<200 {
                    let name = "\(path)/t\(number)-\(index)"
                    let content = [UInt8](repeating: UInt8(index), count: 5000 + index)
                    do throws(Errno) {
                        try writeFile(name, content)
                        if try readFile(name) != content { Issue.record("wrong content of \(name)") }
                        if index % 2 == 0 { try checked(unlink(name)) }
                    } catch { Issue.record("\(name): \(error)") }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(try names(in: path).count == 402)
        try mount.unmount()
    }

    /// A request that takes for ever does not hold up the others, whatever its kind.
    @Test(arguments: Transports.all) func oneSlowRequestStopsNobody(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try checked(symlink("target", mount.path("link")))
        mount.fileSystem.statfsWaits.store(true, ordering: .relaxed)
        let path = mount.path
        let slow = WorkerThread(name: "slow") {
            var statistics = statvfs()
            if statvfs(path, &statistics) != 0 { Issue.record("statvfs: \(errno)") }
        }
        while mount.fileSystem.count("statfs") == 0 { waitAMoment() }
        var target = [CChar](repeating: 0, count: 100)
        #expect(readlink(mount.path("link"), &target, 100) == 6)
        slow.join()
        try mount.unmount()
    }

    /// A handler learns that the program that waits for it got a signal.
    @Test(arguments: Transports.all) func interruptReachesTheHandler(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        mount.fileSystem.statfsWaits.store(true, ordering: .relaxed)
        let result = try shell("timeout -s INT 0.2 stat -f . || test $? = 124", in: mount.path)
        #expect(result.status == 0)
        #expect(mount.fileSystem.count("readlink") == 0)
        try mount.unmount()
    }

    @Test(arguments: Transports.all) func unmountEndsTheSession(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), [1])
        let file = try openFile(mount.path("f"), O_RDONLY)
        #expect { try Mounting.unmount(mount.path) } throws: { ($0 as? Failure)?.kind == .busy }
        withExtendedLifetime(file) {}
        _ = consume file
        try mount.unmount()
        #expect { try Mounting.unmount(mount.path) } throws: { ($0 as? Failure)?.kind == .missing }
    }

    @Test(arguments: Transports.all) func nodesAreForgotten(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        for index in 0..<50 { try writeFile(mount.path("f\(index)"), [1]) }
        for index in 0..<50 { try checked(unlink(mount.path("f\(index)"))) }
        // Before unmounting: what has not been read from the device by then is never told.
        #expect(mount.fileSystem.waitForNodes(1))
        try mount.unmount()
        #expect(mount.fileSystem.state.withLock { $0.nodes.count } == 1)
    }

    @Test func optionsArrive() throws {
        let mount = try MountedFixture(transport: .auto) { options in
            options.isReadOnly = true
            options.noAccessTimes = true
            options.noExecution = true
        }
        let mounts = String(decoding: try readAll("/proc/self/mounts"), as: UTF8.self)
        let line = try #require(mounts.split(separator: "\n").first { $0.contains(mount.path) })
        #expect(line.hasPrefix("memory\\040test "))
        #expect(line.contains(" fuse.memtest ro,nosuid,nodev,noexec,noatime,"))
        #expect(line.contains("default_permissions,allow_other"))
        #expect(mkdir(mount.path("x"), 0o755) == -1 && errno == EROFS)
        #expect(ReadAhead.deviceNumber(ofMount: mount.path) != nil)
        #expect(ReadAhead.raise(mountPoint: mount.path))
        try mount.unmount()
        #expect(ReadAhead.deviceNumber(ofMount: mount.path) == nil)
    }

    @Test func badMountPoints() {
        #expect { try Mounting.mount(at: "/tmp/no-such-directory-here", FUSEMountOptions()) } throws: { ($0 as? Failure)?.kind == .missing }
        #expect { try Mounting.mount(at: "/etc/passwd", FUSEMountOptions()) } throws: { ($0 as? Failure)?.kind == .usage }
        #expect { try Mounting.unmount("/tmp/no-such-directory-here") } throws: { ($0 as? Failure)?.kind == .missing }
    }

    @Test func escapesOfMountinfo() {
        #expect(ReadAhead.unescaped(Array(#"/a\040b\134c\"#.utf8)) == Array(#"/a b\c\"#.utf8))
    }

    /// A stopped session ends although the mount is still there.
    @Test(arguments: Transports.all) func stop(_ transport: TransportChoice) throws {
        let mount = try MountedFixture(transport: transport)
        try writeFile(mount.path("f"), [1])
        mount.session.stop()
        // The fixture's end waits for the session's thread.
    }
}
