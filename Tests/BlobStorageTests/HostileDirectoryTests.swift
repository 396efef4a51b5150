import Glibc
import Syscalls
import SystemPackage
import Testing

@testable import BlobStorage

/// A data directory in which somebody else has put links, FIFOs and directories where files and folders are expected.
@Suite struct HostileDirectoryTests {
    private let directory: TemporaryDirectory
    private let storage: DirectoryStorage
    /// Of the user, outside of the data directory: nobody may change it.
    private let precious: TemporaryDirectory
    private let id = BlobID(high: 0xABCD_0000_0000_0001, low: 1)
    private let path = "abcd/000000000001" + "0000000000000001"
    private static let names = ["efs.lock", "efs.volume", "efs.reserve", "efs.head.0"]

    init() throws {
        directory = try TemporaryDirectory()
        storage = try DirectoryStorage(path: directory.path, readOnly: false)
        precious = try TemporaryDirectory()
        try precious.write([1, 2, 3], to: "file")
        mkdir(precious.path + "/folder", 0o700)
        try precious.write([4, 5], to: "folder/" + path.dropFirst(5))
    }

    private func expectPreciousIsWhole() throws {
        #expect(try precious.read("file") == [1, 2, 3])
        #expect(try precious.read("folder/" + path.dropFirst(5)) == [4, 5])
        #expect(try Set(directoryNames(precious.path)) == ["file", "folder"])
    }

    private func expectDamaged(_ name: String, _ body: () throws -> Void) {
        do {
            try body()
            Issue.record("\(name) was accepted")
        } catch let failure as Failure {
            #expect(failure.kind == .damaged, "\(failure)")
            #expect(failure.object?.contains(name) == true, "\(failure) does not say which file")
        } catch { Issue.record(error) }
    }

    private func useSmallFile(_ name: String) throws {
        expectDamaged(name) { _ = try storage.readSmallFile(name, limitBytes: 100) }
        expectDamaged(name) { try storage.openSmallFile(name).write([9], at: 0) }
        expectDamaged(name) { _ = try storage.lock(name, exclusive: true) }
        expectDamaged(name) { _ = try storage.lock(name, exclusive: false) }
        expectDamaged(name) { _ = try storage.lockForReplacing(name) }
    }

    @Test(arguments: names) func smallFilesThatAreLinksAreRefused(name: String) throws {
        #expect(symlink(precious.path + "/file", "\(directory.path)/\(name)") == 0)
        try useSmallFile(name)
        try expectPreciousIsWhole()
        // One to a place where nothing is: nothing may be made there.
        unlink("\(directory.path)/\(name)")
        #expect(symlink(precious.path + "/new", "\(directory.path)/\(name)") == 0)
        try useSmallFile(name)
        // It is replaced, and deleted, as what it is.
        try storage.replaceSmallFile(name, with: [7])
        #expect(try storage.readSmallFile(name, limitBytes: 10) == [7])
        unlink("\(directory.path)/\(name)")
        #expect(symlink(precious.path + "/file", "\(directory.path)/\(name)") == 0)
        try storage.deleteSmallFile(name)
        try expectPreciousIsWhole()
    }

    /// Opening one for reading would wait for a writer.
    @Test(.timeLimit(.minutes(2)), arguments: names) func smallFilesThatAreFIFOsOrDirectoriesAreRefused(name: String) throws {
        #expect(mkfifo("\(directory.path)/\(name)", 0o600) == 0)
        try useSmallFile(name)
        unlink("\(directory.path)/\(name)")
        mkdir("\(directory.path)/\(name)", 0o700)
        try useSmallFile(name)
    }

    @Test func whatIsWrittenInPlaceHasOneName() throws {
        for name in ["efs.head.0", "efs.lock"] {
            #expect(link(precious.path + "/file", "\(directory.path)/\(name)") == 0)
            expectDamaged(name) { try storage.openSmallFile(name).write([9], at: 0) }
            expectDamaged(name) { _ = try storage.lock(name, exclusive: true) }
        }
        mkdir(directory.path + "/abcd", 0o700)
        #expect(link(precious.path + "/file", "\(directory.path)/\(path)") == 0)
        expectDamaged(path) { try storage.truncateBlob(id, to: 0) }
        // Reading harms nobody, and a copy made of hard links can be read.
        #expect(try storage.openBlob(id).all() == [1, 2, 3])
        try expectPreciousIsWhole()
    }

    /// In the way of a file that is written aside nothing can be put: its name is not known before.
    @Test func nothingLiesInWaitForTheHeader() throws {
        #expect(symlink(precious.path + "/file", directory.path + "/efs.volume.new") == 0)
        try storage.replaceSmallFile("efs.volume", with: [1])
        try storage.replaceSmallFile("efs.volume", with: [2])
        #expect(try storage.readSmallFile("efs.volume", limitBytes: 10) == [2])
        #expect(try Set(storage.names()) == ["efs.volume", "efs.volume.new"])
        try directory.write([3], to: "efs.volume.new.77")
        try storage.deleteAside(of: "efs.volume")
        #expect(try storage.names() == ["efs.volume"])
        try expectPreciousIsWhole()
    }

    private func useBlob(_ name: String, isFolder: Bool) {
        expectDamaged(name) { _ = try storage.openBlob(id) }
        expectDamaged(name) { try storage.truncateBlob(id, to: 0) }
        expectDamaged(name) { try storage.syncBlob(id) }
        if isFolder {
            expectDamaged(name) { _ = try storage.createBlob(id) }
            expectDamaged(name) { try storage.deleteBlob(id) }
            expectDamaged(name) { try storage.syncNames(of: [id]) }
            expectDamaged(name) { try storage.listBlobs { (_) throws(Failure) in Issue.record("a blob of another volume is listed") } }
        }
    }

    @Test func foldersThatAreLinksAreRefused() throws {
        #expect(symlink(precious.path + "/folder", directory.path + "/abcd") == 0)
        useBlob("abcd", isFolder: true)
        expectDamaged("abcd") { try storage.deleteAllBlobs() }
        unlink(directory.path + "/abcd")
        #expect(symlink(precious.path + "/nowhere", directory.path + "/abcd") == 0)
        useBlob("abcd", isFolder: true)
        try expectPreciousIsWhole()
    }

    @Test(.timeLimit(.minutes(2))) func blobsThatAreLinksOrFIFOsAreRefused() throws {
        mkdir(directory.path + "/abcd", 0o700)
        #expect(symlink(precious.path + "/file", "\(directory.path)/\(path)") == 0)
        useBlob(path, isFolder: false)
        #expect(failureKind { _ = try storage.createBlob(id) } == .alreadyExists)
        // The link goes, not what it leads to.
        try storage.deleteBlob(id)
        mkdir(directory.path + "/abcd", 0o700)
        #expect(mkfifo("\(directory.path)/\(path)", 0o600) == 0)
        useBlob(path, isFolder: false)
        try expectPreciousIsWhole()
    }

    /// `UInt64.init(_:radix:)` would take them.
    @Test func namesThatAreAlmostOursAreNone() throws {
        for folder in ["+abc", "ABCD", "abcd"] { mkdir("\(directory.path)/\(folder)", 0o700) }
        let digits = String(path.dropFirst(5))
        for file in ["+abc/" + digits, "ABCD/" + digits, "abcd/" + digits.uppercased() + "A", "abcd/+" + digits.dropFirst(), "abcd/x"] {
            try directory.write([1], to: file)
        }
        try storage.listBlobs { (id) throws(Failure) in Issue.record("\(id) is no blob") }
        try storage.deleteAllBlobs()
        #expect(try Set(storage.names()) == ["+abc", "ABCD", "abcd"])
    }
}
