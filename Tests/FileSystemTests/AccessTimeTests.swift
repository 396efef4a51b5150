import FileSystem
import SystemPackage
import Testing

/// What reading does to access times, by policy.
@Suite struct AccessTimeTests {
    private let clock = TestClock()

    private func volume(_ policy: AccessTimePolicy) throws -> TestVolume {
        try TestVolume(clock: clock, options: { $0.accessTimes = policy })
    }

    private func accessTime(_ volume: TestVolume, _ inode: InodeID) throws -> Timestamp {
        try volume.fileSystem.attributes(inode).accessTime
    }

    /// Whether `look` raises the access time.
    private func raises(_ volume: TestVolume, _ inode: InodeID, _ look: (InodeID) throws -> Void) throws -> Bool {
        let before = try accessTime(volume, inode)
        try look(inode)
        return try accessTime(volume, inode) > before
    }

    private func touch(_ volume: TestVolume, _ inode: InodeID) throws {
        var changes = AttributeChanges()
        changes.modificationTime = .now
        _ = try volume.fileSystem.setAttributes(inode, changes)
    }

    @Test func relativeIsOnceAfterEachChangeAndOnceADay() throws {
        let volume = try volume(AccessTimePolicy())
        let file = try volume.makeFile(.root, "f")
        let directory = try volume.makeDirectory(.root, "d")
        let link = try volume.makeSymbolicLink(.root, Array("l".utf8), target: Array("f".utf8))
        try volume.write(file, at: 0, [1, 2, 3])
        let looks: [(InodeID, (InodeID) throws -> Void)] = [
            (file, { _ = try volume.read($0, at: 0, count: 3) }), (directory, { _ = try volume.list($0) }),
            (link, { _ = try volume.readSymbolicLink($0) }),
        ]
        for (inode, look) in looks {
            try touch(volume, inode)
            #expect(try raises(volume, inode, look))
            #expect(try !raises(volume, inode, look))
            clock.advance(seconds: 86_000)
            #expect(try !raises(volume, inode, look))
            clock.advance(seconds: 500)
            #expect(try raises(volume, inode, look))
            #expect(try !raises(volume, inode, look))
            try touch(volume, inode)
            #expect(try raises(volume, inode, look))
        }
    }

    /// Reading is no change: neither of the other times moves, nor the change counter that watchers of a file look at.
    @Test func readingChangesNothingElse() throws {
        let volume = try volume(AccessTimePolicy(.always))
        let file = try volume.makeFile(.root, "f")
        try volume.write(file, at: 0, [1, 2, 3])
        var before = try volume.fileSystem.attributes(file)
        _ = try volume.read(file, at: 0, count: 3)
        let after = try volume.fileSystem.attributes(file)
        #expect(before.accessTime < after.accessTime)
        before.accessTime = after.accessTime
        #expect(before == after)
    }

    @Test func alwaysIsAlwaysAndNeverIsNever() throws {
        for (policy, file, directory) in [
            (AccessTimePolicy(.always), true, true), (AccessTimePolicy(.always, includesDirectories: false), true, false),
            (.never, false, false), (AccessTimePolicy(.never, includesDirectories: false), false, false),
        ] {
            let volume = try volume(policy)
            let inode = try volume.makeFile(.root, "f")
            try volume.write(inode, at: 0, [1])
            for _ in 0..<3 {
                #expect(try raises(volume, inode) { _ = try volume.read($0, at: 0, count: 1) } == file)
                #expect(try raises(volume, .root) { _ = try volume.list($0) } == directory)
            }
        }
    }

    /// The rest of a listing is not another access.
    @Test func aListingCountsOnceHoweverItIsCut() throws {
        let volume = try volume(AccessTimePolicy(.always))
        for number in 0..<10 { try volume.makeFile(.root, "f\(number)") }
        let first = try volume.list(.root, limit: 4)
        #expect(try !raises(volume, .root) { _ = try volume.list($0, after: first[3].cookie) })
    }
}
