import FileSystem
import Sealing
import Syscalls
import Testing

/// Volumes of format 1 that were made once and never change. Every later version must open them, and see in them what was put there.
@Suite struct GoldenVolumeTests {
    private func options(_ state: String, readOnly: Bool) -> VolumeOptions {
        var options = VolumeOptions()
        options.isReadOnly = readOnly
        options.accessTimes = .never
        options.stateDirectory = state
        return options
    }

    private func open(_ data: String, _ state: String, readOnly: Bool) throws -> Volume {
        try Volume.open(at: data, password: GoldenVolume.secret(GoldenVolume.password), options: options(state, readOnly: readOnly))
    }

    @Test(arguments: GoldenVolume.names) func opensForReadingAndIsNotTouched(name: String) throws {
        try GoldenVolume.withCopy(name) { data, state in
            let before = try DirectoryTree.files(data)
            #expect(before.count >= 4)
            let volume = try open(data, state, readOnly: true)
            let lines = try Listing.lines(of: volume.fileSystem)
            let expected = try GoldenVolume.listing(name)
            #expect(lines == expected)
            #expect(try volume.check(deep: true).problems == [])
            #expect(throws: (any Error).self) {
                try Array("new".utf8).withUnsafeBytes {
                    _ = try volume.fileSystem.makeNode(.root, $0, mode: 0o644, caller: Caller(uid: 0, gid: 0), retaining: false)
                }
            }
            try volume.close()
            #expect(try DirectoryTree.files(data) == before)
        }
    }

    @Test(arguments: GoldenVolume.names) func opensForWritingAndGoesOn(name: String) throws {
        try GoldenVolume.withCopy(name) { data, state in
            let expected = try GoldenVolume.listing(name)
            let volume = try open(data, state, readOnly: false)
            #expect(try Listing.lines(of: volume.fileSystem) == expected)
            try Array("zz-added".utf8).withUnsafeBytes { name in
                let made = try volume.fileSystem.makeNode(.root, name, mode: 0o644, caller: Caller(uid: 7, gid: 7), retaining: false)
                try Array("added".utf8).withUnsafeBytes { try volume.fileSystem.write(made.inode, at: 0, from: $0) }
            }
            try volume.close()
            let again = try open(data, state, readOnly: true)
            let lines = try Listing.lines(of: again.fileSystem)
            // All but the root directory, which has a new entry, and that entry.
            #expect(lines.filter { !$0.hasPrefix("/ ") && !$0.hasPrefix("/zz-added ") } == expected.filter { !$0.hasPrefix("/ ") })
            #expect(lines.contains { $0.hasPrefix("/zz-added regular 644 1 7 7 ") })
        }
    }

    @Test func anotherPasswordOpensNothing() throws {
        try GoldenVolume.withCopy("closed") { data, state in
            let error = #expect(throws: Failure.self) {
                _ = try Volume.open(
                    at: data, password: GoldenVolume.secret(GoldenVolume.password + " "), options: options(state, readOnly: true))
            }
            #expect(error?.kind == .wrongPassword)
        }
    }

    /// A byte here and there in every file: what can then still be read is what was there, or a clean error.
    @Test func aChangedByteIsNeverOtherData() throws {
        let files = try GoldenVolume.files("closed")
        let expected = try GoldenVolume.listing("closed")
        let total = files.values.reduce(0) { $0 + $1.count }
        var refused = 0
        for (name, bytes) in files {
            for at in stride(from: name.utf8.count % 7, to: bytes.count, by: max(1, total / 150)) {
                var changed = bytes
                changed[at] ^= 4
                try DirectoryTree.withTemporary { temporary in
                    var all = files
                    all[name] = changed
                    try DirectoryTree.write(all, to: "\(temporary)/data")
                    do {
                        let volume = try open("\(temporary)/data", "\(temporary)/state", readOnly: true)
                        let lines = try Listing.lines(of: volume.fileSystem)
                        #expect(lines == expected, "byte \(at) of \(name)")
                    } catch { refused += 1 }
                }
            }
        }
        #expect(refused > 20)
    }
}
