import DiskSimulation
import Glibc
import Synchronization
import Syscalls
import SystemPackage
import Testing

@testable import FileSystem
@testable import Log

/// A sync that failed is never taken for one that worked.
@Suite struct StorageFaultTests {
    /// The one that failed says what the disk said; all that follows say that the volume is read-only, and why. Reading goes on.
    @Test(arguments: [Errno.ioError, .noSpace, .diskQuotaExceeded]) func aFailedSyncEndsAllWriting(error: Errno) throws {
        let volumes = DiskVolumes()
        let reports = Mutex<[String]>([])
        let disk = SimulatedDisk()
        let state = try StateDirectory()
        defer { withExtendedLifetime(state) {} }
        let options = volumes.options(state) { $0.report = { text in reports.withLock { $0.append(text) } } }
        try volumes.create(disk, options)
        let volume = try volumes.open(disk, options)
        try volume.fileSystem.makeFile("a")
        try volume.fileSystem.write("a", at: 0, [1, 2, 3])
        disk.setFault { call, _ in call == .sync ? error : nil }
        #expect(throws: error) { try volume.fileSystem.synchronize("a") }
        disk.setFault(nil)
        for _ in 0..<3 {
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.synchronize("a") }
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.write("a", at: 0, [4]) }
            #expect(throws: Errno.readOnlyFileSystem) { try volume.fileSystem.makeFile("b") }
        }
        #expect(try volume.fileSystem.bytes(volume.fileSystem.find("a")) == [1, 2, 3])
        let told = reports.withLock { $0 }
        #expect(told.contains { $0.contains("fdatasync failed") }, "\(told)")
        #expect(told.contains { $0.contains("read-only since its storage failed") && $0.contains("fdatasync failed") }, "\(told)")
        let failure = #expect(throws: Failure.self) { try volume.close() }
        #expect(failure?.kind == .readOnly && failure?.hint != nil)
    }
}
