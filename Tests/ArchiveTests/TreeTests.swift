import FileSystem
import Glibc
import Sealing
import Syscalls
import SystemPackage
import Testing

@testable import Archive

struct TreeTests {
    static let isRoot = geteuid() == 0

    /// Volume -> archive -> directory -> archive -> volume, and each is the same tree.
    @Test(arguments: ["x.tar", "x.tar.gz", "x.tar.zst", "x.tar.gz.aes", "x.tar.zst.aes", "x.tar.age", "x.tgz.age"])
    func aTreeSurvivesVolumesDirectoriesAndArchives(name: String) throws {
        var random = SeededRandom("aTreeSurvives \(name)")
        let format = try #require(ArchiveFormat(fileName: name))
        let first = try memoryFileSystem()
        try SampleTree.put(SampleTree.parts(&random) + (Self.isRoot ? SampleTree.devices : []), into: VolumeStore(first))
        let expected = try Snapshot(VolumeSource(first) { Issue.record("\($0)") })
        #expect(expected.nodes.count == 27 + (Self.isRoot ? 2 : 0))

        let scratch = try ScratchDirectory()
        try archive(VolumeSource(first) { Issue.record("\($0)") }, "\(scratch.path)/1-\(name)", format)
        let store = DirectoryStore("\(scratch.path)/tree") { Issue.record("\($0)") }
        try restore("\(scratch.path)/1-\(name)", store, format)
        let local = try Snapshot(DirectorySource("\(scratch.path)/tree") { Issue.record("\($0)") })
        compare(local, expected)

        try archive(DirectorySource("\(scratch.path)/tree") { Issue.record("\($0)") }, "\(scratch.path)/2-\(name)", format)
        let second = try memoryFileSystem()
        try restore("\(scratch.path)/2-\(name)", VolumeStore(second, path: "/made"), format)
        compare(try Snapshot(VolumeSource(second, path: "/made") { Issue.record("\($0)") }), expected)
        // Holes are still holes.
        let size = try #require(stat("\(scratch.path)/tree/hole"))
        #expect(size.st_size == 3 << 20 && size.st_blocks == 0)
        #expect(try #require(stat("\(scratch.path)/tree/sparse")).st_blocks < 400)
        #expect(scratch.names == ["1-\(name)", "2-\(name)", "tree"])
    }

    private func stat(_ path: String) -> stat? {
        var result = Glibc.stat()
        return lstat(path, &result) == 0 ? result : nil
    }

    private func compare(_ tree: Snapshot, _ expected: Snapshot) {
        let tree = tree.withoutOrderOfLinks
        let expected = expected.withoutOrderOfLinks
        #expect(Set(tree.nodes.keys) == Set(expected.nodes.keys))
        for (path, node) in expected.nodes {
            #expect(tree.nodes[path]?.entry == node.entry)
            #expect(tree.nodes[path]?.content == node.content, "\(ArchiveEntry.display(path))")
        }
    }

    private func archive(_ source: some TreeSource, _ path: String, _ format: ArchiveFormat) throws(Failure) {
        let file = try ArchiveFile(path: path)
        let recipient = AgeRecipient(AgeTests.recipient)!
        let sealing: ArchiveSealing =
            switch format.encryption {
            case .none: .none
            case .aesCrypt: .password(secret("password"))
            case .age: .recipients([recipient])
            }
        let writing = ArchiveWriting(format: format, sealing: sealing) { Issue.record("\($0)") }
        let counts = try writing.write(source, to: DescriptorSink(file.descriptor, name: path))
        #expect(counts.entries > 20 && counts.bytes > 3 << 20 && counts.bytes < 5 << 20)
        try file.commit()
    }

    private func restore(_ path: String, _ store: some TreeStore, _ format: ArchiveFormat) throws(Failure) {
        let input = try ArchiveInput(path: path)
        #expect(input.encryption == format.encryption)
        let identity = Array(AgeTests.identity.utf8).withBytes { AgeIdentity($0)! }
        let opening: ArchiveOpening =
            switch format.encryption {
            case .none: .none
            case .aesCrypt: .password(secret("password"))
            case .age: .identities([identity])
            }
        _ = try ArchiveRestoring.restore(input, with: opening, into: store)
    }

    @Test func exclusionsLeaveOutWhatTheyName() throws {
        let volume = try memoryFileSystem()
        let restorer = try TreeRestorer(VolumeStore(volume))
        for path in ["a", "a/x.o", "a/b", "a/b/x.o", "a/b/x.c", "tmp", "tmp/1", "a/tmp", "a/tmp/2"] {
            let isDirectory = !path.contains(".") && !path.contains(where: \.isNumber)
            try restorer.add(ArchiveEntry(path: Array(path.utf8), kind: isDirectory ? .directory : .regular(sizeBytes: 0, dataRanges: nil)))
        }
        try restorer.commit()
        func paths(_ patterns: String...) throws -> [String] {
            let source = try VolumeSource(volume, exclusions: TreeExclusions(patterns)) { _ in }
            return try Snapshot(source).nodes.keys.map { ArchiveEntry.display($0) }.sorted()
        }
        #expect(try paths("*.o") == [".", "a", "a/b", "a/b/x.c", "a/tmp", "a/tmp/2", "tmp", "tmp/1"])
        #expect(try paths("tmp") == [".", "a", "a/b", "a/b/x.c", "a/b/x.o", "a/x.o"])
        #expect(try paths("/tmp", "a/b") == [".", "a", "a/tmp", "a/tmp/2", "a/x.o"])
        #expect(try paths("./a") == [".", "tmp", "tmp/1"])
        #expect(try paths("*") == ["."])
    }

    @Test func whatIsThereIsNotTouched() throws {
        let scratch = try ScratchDirectory()
        let volume = try memoryFileSystem()
        for store in ["first", "second"] {
            let restorer = try TreeRestorer(VolumeStore(volume))
            try restorer.add(ArchiveEntry(path: Array("common".utf8), kind: .directory))
            try restorer.add(ArchiveEntry(path: Array(store.utf8), kind: .fifo))
            if store == "first" {
                try restorer.commit()
            } else {
                #expect(kind { () throws(Failure) in try restorer.commit() } == .alreadyExists)
                restorer.abort()
            }
        }
        #expect(
            try Snapshot(VolumeSource(volume) { _ in }).nodes.keys.map { ArchiveEntry.display($0) }.sorted() == [".", "common", "first"])

        let path = try scratch.write([1], to: "common")
        let restorer = try TreeRestorer(DirectoryStore(scratch.path) { _ in })
        try restorer.add(ArchiveEntry(path: Array("a/b/c".utf8), kind: .fifo))
        try restorer.add(ArchiveEntry(path: Array("common".utf8), kind: .directory))
        #expect(kind { () throws(Failure) in try restorer.commit() } == .alreadyExists)
        restorer.abort()
        #expect(scratch.names == ["common"])
        #expect(try scratch.read("common") == [1] && path.hasSuffix("common"))
    }

    /// Archives of others may come back to a directory, name things twice, and leave directories out.
    @Test func entriesMayComeInAnyOrder() throws {
        for isLocal in [true, false] {
            let scratch = try ScratchDirectory()
            let volume = try memoryFileSystem()
            func entry(_ path: String, _ kind: ArchiveEntry.Kind, _ permissions: UInt32, _ seconds: Int64) -> ArchiveEntry {
                var entry = ArchiveEntry(path: Array(path.utf8), kind: kind)
                entry.permissions = permissions
                entry.uid = geteuid()
                entry.gid = getegid()
                entry.modificationTime = Timestamp(seconds: seconds, nanoseconds: 5)
                return entry
            }
            func fill(_ restorer: TreeRestorer<some TreeStore>) throws(Failure) {
                try restorer.add(entry("implied/x/y", .regular(sizeBytes: 0, dataRanges: nil), 0o600, 1))
                try restorer.add(entry("a", .directory, 0o500, 100))
                try restorer.add(entry("a/1", .regular(sizeBytes: 2, dataRanges: nil), 0o600, 2))
                try restorer.write([7, 7], at: 0)
                try restorer.add(entry("b", .directory, 0o755, 200))
                try restorer.add(entry("a/2", .hardLink(path: Array("a/1".utf8)), 0o600, 3))
                try restorer.add(entry("b/3", .fifo, 0o600, 4))
                try restorer.add(entry("a/1", .symbolicLink(target: Array("2".utf8)), 0o777, 5))
                try restorer.add(entry("b", .directory, 0o711, 300))
                try restorer.commit()
            }
            let tree: Snapshot
            if isLocal {
                try fill(TreeRestorer(DirectoryStore("\(scratch.path)/x") { Issue.record("\($0)") }))
                tree = try Snapshot(DirectorySource("\(scratch.path)/x") { _ in })
            } else {
                try fill(TreeRestorer(VolumeStore(volume)))
                tree = try Snapshot(VolumeSource(volume) { _ in })
            }
            func at(_ path: String) -> ArchiveEntry? { tree.nodes[Array(path.utf8)]?.entry }
            #expect(tree.nodes.count == 9)
            #expect(at("a") == entry("a", .directory, 0o500, 100))
            #expect(at("b") == entry("b", .directory, 0o711, 300))
            #expect(at("implied/x")?.permissions == 0o755)
            #expect(at("a/1")?.kind == .symbolicLink(target: Array("2".utf8)))
            #expect(tree.nodes[Array("a/2".utf8)]?.content == [7, 7])
        }
    }

    @Test func nothingLeavesTheTree() throws {
        let scratch = try ScratchDirectory()
        let outside = try scratch.write([1], to: "outside")
        for (path, link) in [("../outside", ""), ("/etc/x", ""), ("a/../../outside", ""), ("s/outside", ".."), ("s/outside", scratch.path)]
        {
            let restorer = try TreeRestorer(DirectoryStore("\(scratch.path)/in") { _ in })
            if !link.isEmpty { try restorer.add(ArchiveEntry(path: Array("s".utf8), kind: .symbolicLink(target: Array(link.utf8)))) }
            let result = kind { () throws(Failure) in
                try restorer.add(ArchiveEntry(path: Array(path.utf8), kind: .regular(sizeBytes: 1, dataRanges: nil)))
                try restorer.write([2], at: 0)
                try restorer.commit()
            }
            #expect(result != nil, "\(path)")
            restorer.abort()
            #expect(scratch.names == ["outside"])
            #expect(try scratch.read("outside") == [1] && outside.hasSuffix("outside"))
        }
        // A hard link does not lead out either.
        let restorer = try TreeRestorer(DirectoryStore("\(scratch.path)/in") { _ in })
        try restorer.add(ArchiveEntry(path: Array("s".utf8), kind: .symbolicLink(target: Array("..".utf8))))
        let result = kind { () throws(Failure) in
            try restorer.add(ArchiveEntry(path: Array("h".utf8), kind: .hardLink(path: Array("s/outside".utf8))))
        }
        #expect(result == .damaged)
        restorer.abort()
        #expect(scratch.names == ["outside"])
    }

    @Test func aFileThatShrinksIsReported() throws {
        final class Shrinking: TreeSource {
            var entries = [
                ArchiveEntry(path: [], kind: .directory), ArchiveEntry(path: [0x61], kind: .regular(sizeBytes: 3 << 20, dataRanges: nil)),
            ]
            func next() throws(Failure) -> ArchiveEntry? { entries.isEmpty ? nil : entries.removeFirst() }
            func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
                if offset > 0 { return 0 }
                for index in 0..<1000 { buffer[index] = 9 }
                return 1000
            }
        }
        var reports: [String] = []
        let output = MemorySink()
        _ = try ArchiveWriting(format: ArchiveFormat(compression: .none, encryption: .none), sealing: .none) { reports.append($0) }
            .write(Shrinking(), to: output)
        #expect(reports.count == 1 && reports[0].hasPrefix("a: "))
        let reader = try TarReader(MemorySource(output.bytes))
        _ = try reader.next()
        #expect(try reader.next()?.kind == .regular(sizeBytes: 3 << 20, dataRanges: nil))
        #expect(try reader.next() == nil)
    }
}

extension TreeRestorer {
    func write(_ bytes: [UInt8], at offset: UInt64) throws(Failure) {
        try bytes.withBytes { (bytes) throws(Failure) in try write(bytes, at: offset) }
    }
}
