import Glibc
import LinuxTesting
import Mount
import Syscalls
import SystemPackage
import Testing

/// Files that a process has open and has written to, while the kernel has not written the bytes on: a search for data or holes must
/// know of them.
@Suite(.serialized) struct UnwrittenDataTests {
    static let transports: [MountOptions.Transport] = FUSEOverURing.isOn ? [.classic, .uring] : [.classic]

    private static func bytes(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
        var bytes = [UInt8](repeating: seed, count: count)
        for at in stride(from: 0, to: count, by: 509) { bytes[at] = UInt8(truncatingIfNeeded: at / 509 &* 7) | 1 }
        return bytes
    }

    @Test(.timeLimit(.minutes(2)), arguments: UnwrittenDataTests.transports) func copiesOfAFileThatIsBeingWritten(
        _ transport: MountOptions.Transport
    ) throws {
        let mount = try MountedFixture { $0.transport = transport }
        let file = try openFile(mount.path("f"), O_CREAT | O_RDWR)
        let content = Self.bytes(300_000)
        try content.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 0) }
        try mount.run("cp --sparse=auto f copy")
        #expect(try readFile(mount.path("copy")) == content)
        #expect(lseek(file.rawValue, 0, seekHole) == 300_000)

        // Behind a hole, and into one.
        try content.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 10_000_000) }
        try [7, 8, 9].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 5_000_000) }
        #expect(lseek(file.rawValue, 1_000_000, seekData) / 4096 == 5_000_000 / 4096)
        #expect(lseek(file.rawValue, 6_000_000, seekData) / 4096 == 10_000_000 / 4096)
        try [7, 8, 9].withBytes { (bytes) throws(Errno) in try file.write(bytes, at: 7_000_000) }
        try mount.run("cp --sparse=auto f copy; cmp f copy; test $(stat -c %s copy) = 10300000; test $(stat -c %b copy) -lt 2000")
        _ = consume file
        try mount.unmount()
    }

    @Test(.timeLimit(.minutes(2)), arguments: UnwrittenDataTests.transports) func mappedAndDirectWriters(
        _ transport: MountOptions.Transport
    ) throws {
        let mount = try MountedFixture { $0.transport = transport }
        let file = try openFile(mount.path("m"), O_CREAT | O_RDWR)
        try file.truncate(to: 1 << 20)
        let memory = mmap(nil, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0)!
        for page in [3, 100, 255] {
            memory.storeBytes(of: 5, toByteOffset: page * 4096 + 1, as: UInt8.self)
            try mount.run("cp --sparse=auto m copy; cmp m copy")
            #expect(try readFile(mount.path("copy"))[page * 4096 + 1] == 5)
        }
        // The mapping goes on after its pages were taken from it.
        memory.storeBytes(of: 6, toByteOffset: 100 * 4096 + 1, as: UInt8.self)
        #expect(try readFile(mount.path("m"))[100 * 4096 + 1] == 6)
        try checked(munmap(memory, 1 << 20))
        try mount.run(
            """
            truncate -s 3M d; head -c 1000000 /dev/urandom > /tmp/mount-test-direct
            exec 5<>d; dd if=/tmp/mount-test-direct of=d bs=4096 count=100 seek=200 oflag=direct conv=notrunc status=none
            cp --sparse=auto d copy; cmp d copy; head -c 409600 /tmp/mount-test-direct > want
            dd if=copy bs=4096 skip=200 count=100 status=none | cmp - want; rm /tmp/mount-test-direct
            """)
        _ = consume file
        try mount.unmount()
    }

    /// More searches at once than there are threads, each of which needs others to answer the writes that come of it.
    @Test(.timeLimit(.minutes(2)), arguments: UnwrittenDataTests.transports) func manySearchesAtOnce(_ transport: MountOptions.Transport)
        throws
    {
        let mount = try MountedFixture { $0.transport = transport }
        let content = Self.bytes(200_000)
        let files = try (0..<12).map { number in try openFile(mount.path("f\(number)"), O_CREAT | O_RDWR) }
        for round in 0..<5 {
            for file in files {
                try content.withBytes { (bytes) throws(Errno) in try file.write(bytes, at: UInt64(round * 1_000_000)) }
            }
            try mount.run(
                "for n in $(seq 0 11); do cp --sparse=auto f$n copy$n & done; wait; for n in $(seq 0 11); do cmp f$n copy$n; done")
        }
        _ = consume files
        try mount.unmount()
    }

    /// A search that waits when the mount ends keeps nobody from ending it.
    @Test(.timeLimit(.minutes(2))) func endsUnderSearches() throws {
        let mount = try MountedFixture()
        // The writer would go on for ever in a mount that has ended: its open file and its pages need no server.
        let running = mount.path + ".running"
        defer { unlink(running) }
        try mount.run(
            """
            truncate -s 1M f; touch \(running)
            (while test -e \(running) && cp --sparse=auto f \(running).copy; do :; done; rm -f \(running).copy) >/dev/null 2>&1 &
            (while test -e \(running) && printf x >> f; do :; done) >/dev/null 2>&1 &
            sleep 0.5
            """)
        mount.mounted.terminate()
        mount.wait()
    }
}
