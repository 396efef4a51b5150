import Glibc
import Sealing
import Syscalls
import Testing

@testable import KeyManagement

/// A directory that is gone when the test is over.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/efs-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("no temporary directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        if Glibc.unlink(path) == 0 { return }
        for name in names(path) { remove(path + "/" + name) }
        rmdir(path)
    }

    func names(_ path: String? = nil) -> [String] {
        guard let directory = opendir(path ?? self.path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func write(_ bytes: [UInt8], to name: String) {
        guard let file = fopen(path + "/" + name, "w") else { fatalError("cannot write \(name)") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}

@Suite struct FreshnessTests {
    let directory = TemporaryDirectory()
    let volumeID = (0..<16).map { UInt8($0) }
    let state = FreshnessState(
        durable: .init(generation: 41, digest: DigestHasher.digest(of: [1])),
        checkpoint: .init(generation: 17, digest: DigestHasher.digest(of: [2])), headerRevision: 3)
    var store: FreshnessStore { FreshnessStore(directory: directory.path) }
    var fileName: String { Hexadecimal.encode(volumeID) }

    @Test func whatIsStoredIsLoaded() throws {
        #expect(try store.load(volumeID: volumeID) == nil)
        let random = RandomSource.seeded(1)
        for _ in 0..<50 {
            let state = FreshnessState(
                durable: .init(generation: random.next(), digest: DigestHasher.digest(of: random.bytes(count: 8))),
                checkpoint: .init(generation: random.next(), digest: DigestHasher.digest(of: random.bytes(count: 8))),
                headerRevision: random.next())
            try store.store(state, volumeID: volumeID)
            #expect(try store.load(volumeID: volumeID) == state)
        }
        try store.store(.headerOnly(revision: 7), volumeID: volumeID)
        #expect(try store.load(volumeID: volumeID) == .headerOnly(revision: 7))
        #expect(directory.names() == [fileName])
        #expect(try store.load(volumeID: Array(volumeID.reversed())) == nil)
        try store.remove(volumeID: volumeID)
        try store.remove(volumeID: volumeID)
        #expect(try store.load(volumeID: volumeID) == nil)
    }

    @Test func missingDirectoriesAreMade() throws {
        let deep = FreshnessStore(directory: directory.path + "/a/b/efs")
        #expect(try deep.load(volumeID: volumeID) == nil)
        try deep.store(state, volumeID: volumeID)
        #expect(try deep.load(volumeID: volumeID) == state)
    }

    @Test func updatesComeOneAfterTheOther() async throws {
        let store = store
        let volumeID = volumeID
        try store.store(state, volumeID: volumeID)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<25 {
                        do {
                            try store.update(volumeID: volumeID) { seen in
                                var next = seen
                                next?.headerRevision += 1
                                return next
                            }
                        } catch { Issue.record(error) }
                    }
                }
            }
        }
        #expect(try store.load(volumeID: volumeID)?.headerRevision == 103)
        try store.update(volumeID: volumeID) { _ in nil }
        #expect(try store.load(volumeID: volumeID)?.headerRevision == 103)
    }

    @Test func everyDamageIsAFailure() throws {
        let whole = state.encoded(volumeID: volumeID)
        for index in whole.indices {
            for mask in [0x01, 0x20, 0x80, 0xff] as [UInt8] {
                var bytes = whole
                bytes[index] ^= mask
                #expect(FreshnessState(encoded: bytes, volumeID: volumeID) == nil)
            }
            #expect(FreshnessState(encoded: Array(whole[..<index]), volumeID: volumeID) == nil)
        }
        #expect(FreshnessState(encoded: whole + [10], volumeID: volumeID) == nil)
        #expect(FreshnessState(encoded: whole, volumeID: Array(volumeID.reversed())) == nil)
        for bytes in [[], Array(whole.dropLast()), [UInt8](repeating: 0x20, count: 100_000), [UInt8](repeating: 10, count: 6)] {
            directory.write(bytes, to: fileName)
            #expect(failureKind { () throws(Failure) in _ = try store.load(volumeID: volumeID) } == .damaged)
        }
    }

    @Test func aFileOfAnotherKindIsAFailure() throws {
        mkfifo(directory.path + "/" + fileName, 0o600)
        #expect(failureKind { () throws(Failure) in _ = try store.load(volumeID: volumeID) } != nil)
        unlink(directory.path + "/" + fileName)
        mkdir(directory.path + "/" + fileName, 0o700)
        #expect(failureKind { () throws(Failure) in _ = try store.load(volumeID: volumeID) } != nil)
        #expect(failureKind { () throws(Failure) in try store.store(state, volumeID: volumeID) } != nil)
        #expect(directory.names() == [fileName])
    }

    @Test func thePlaceFollowsTheXDGSpecification() throws {
        #expect(try FreshnessStore.standard(stateHome: "/s", home: "/h", isRoot: true).directory == "/s/efs")
        #expect(try FreshnessStore.standard(stateHome: "s", home: "/h", isRoot: true).directory == "/h/.local/state/efs")
        #expect(try FreshnessStore.standard(stateHome: "", home: "/h", isRoot: false).directory == "/h/.local/state/efs")
        #expect(try FreshnessStore.standard(stateHome: nil, home: nil, isRoot: true).directory == "/var/lib/efs")
        #expect(try FreshnessStore.standard(stateHome: nil, home: "/", isRoot: true).directory == "/var/lib/efs")
        let kind = failureKind { () throws(Failure) in _ = try FreshnessStore.standard(stateHome: nil, home: nil, isRoot: false) }
        #expect(kind == .missing)
    }
}
