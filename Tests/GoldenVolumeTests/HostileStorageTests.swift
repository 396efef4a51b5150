import FileSystem
import KeyManagement
import Sealing
import Syscalls
import Testing

/// What storage can do to a volume without its key: take files away, cut them, exchange them, bring old ones back, show two histories.
/// See docs/THREAT_MODEL.md. Changed bytes are in GoldenVolumeTests.
@Suite struct HostileStorageTests {
    private let expected: [String]
    private let files: [String: [UInt8]]

    init() throws {
        expected = try GoldenVolume.listing("closed")
        files = try GoldenVolume.files("closed")
    }

    private func options(_ state: String, readOnly: Bool) -> VolumeOptions {
        var options = VolumeOptions()
        options.isReadOnly = readOnly
        options.accessTimes = .never
        options.stateDirectory = state
        return options
    }

    private func open(_ data: String, _ state: String, readOnly: Bool = false) throws -> Volume {
        try Volume.open(at: data, password: GoldenVolume.secret(GoldenVolume.password), options: options(state, readOnly: readOnly))
    }

    /// Whether the volume refuses these files. If not it must be as it was.
    private func refuses(_ files: [String: [UInt8]], _ what: String) throws -> Bool {
        try DirectoryTree.withTemporary { temporary in
            try DirectoryTree.write(files, to: "\(temporary)/data")
            do {
                let volume = try open("\(temporary)/data", "\(temporary)/state", readOnly: true)
                #expect(try Listing.lines(of: volume.fileSystem) == expected, "\(what)")
                return false
            } catch { return true }
        }
    }

    @Test func filesThatAreMissingAreNoticed() throws {
        var refused = 0
        for name in files.keys {
            var changed = files
            changed[name] = nil
            if try refuses(changed, "without \(name)") { refused += 1 }
        }
        #expect(refused >= 4)
    }

    @Test func filesThatAreCutAreNoticed() throws {
        var refused = 0
        for (name, bytes) in files {
            for count in [0, 1, bytes.count / 2, bytes.count - 1] {
                var changed = files
                changed[name] = Array(bytes[..<count])
                if try refuses(changed, "\(name) cut to \(count)") { refused += 1 }
            }
        }
        #expect(refused >= 10)
    }

    @Test func filesThatChangePlacesAreNoticed() throws {
        let names = files.keys.sorted()
        var refused = 0
        for (index, one) in names.enumerated() {
            for other in names[(index + 1)...] {
                var changed = files
                changed[one] = files[other]
                changed[other] = files[one]
                if try refuses(changed, "\(one) and \(other)") { refused += 1 }
            }
        }
        #expect(refused >= 6)
    }

    private func add(_ name: String, _ data: String, _ state: String) throws {
        let volume = try open(data, state)
        try Array(name.utf8).withUnsafeBytes {
            _ = try volume.fileSystem.makeNode(.root, $0, mode: 0o644, caller: Caller(uid: 0, gid: 0), retaining: false)
        }
        try volume.close()
    }

    @Test func anOlderStateIsRefusedUntilItIsAccepted() throws {
        try GoldenVolume.withCopy("closed") { data, state in
            try add("new", data, state)
            DirectoryTree.remove(data)
            try DirectoryTree.write(files, to: data)
            let error = #expect(throws: Failure.self) { _ = try open(data, state) }
            #expect(error?.kind == .rolledBack)
            var accepting = options(state, readOnly: false)
            accepting.acceptsRollback = true
            let volume = try Volume.open(at: data, password: GoldenVolume.secret(GoldenVolume.password), options: accepting)
            #expect(try Listing.lines(of: volume.fileSystem) == expected)
            try volume.close()
            // It is the new truth from then on.
            try add("newer", data, state)
        }
    }

    @Test func anotherHistoryIsRefused() throws {
        try GoldenVolume.withCopy("closed") { data, state in
            try DirectoryTree.withTemporary { other in
                try DirectoryTree.write(files, to: "\(other)/data")
                try add("here", data, state)
                try add("there", "\(other)/data", "\(other)/state")
                try add("there-again", "\(other)/data", "\(other)/state")
                let error = #expect(throws: Failure.self) { _ = try open("\(other)/data", state) }
                #expect(error?.kind == .rolledBack)
                // Neither machine that stays with its own notices anything.
                try add("here-again", data, state)
            }
        }
    }

    @Test func aMachineThatHasSeenNothingCanBeToldWhatToExpect() throws {
        try GoldenVolume.withCopy("closed") { data, state in
            var expecting = options(state, readOnly: true)
            expecting.expectedGeneration = 1_000_000
            let error = #expect(throws: Failure.self) {
                _ = try Volume.open(at: data, password: GoldenVolume.secret(GoldenVolume.password), options: expecting)
            }
            #expect(error?.kind == .rolledBack)
        }
    }

    @Test func anOldHeaderBringsNoOldPasswordBack() throws {
        try GoldenVolume.withCopy("closed") { data, state in
            try add("new", data, state)
            let old = try DirectoryTree.read("\(data)/efs.volume")
            try Volume.changePassword(
                at: data, from: GoldenVolume.secret(GoldenVolume.password), to: GoldenVolume.secret("another"), cost: .minimumForTests,
                options: options(state, readOnly: false))
            try DirectoryTree.write(old, to: "\(data)/efs.volume")
            let error = #expect(throws: Failure.self) { _ = try open(data, state) }
            #expect(error?.kind == .rolledBack)
        }
    }
}
