import Syscalls
import Testing

@testable import efs

@Suite struct MountHelperTests {
    @Test(arguments: [
        ("/sbin/mount.fuse.efs", true), ("mount.fuse.efs", true), ("efs", false), ("/usr/bin/mount.fuse", false), ("", false),
    ])
    func isKnownByItsName(_ name: String, _ expected: Bool) {
        #expect(MountHelper.isCalled(as: name) == expected)
    }

    @Test func readsWhatMountPasses() throws {
        let call = try MountHelper.Call(["/data", "/mnt", "-sv", "-o", "rw,noatime,weird", "-t", "fuse.efs", "-N", "/proc/1/ns/mnt"])
        #expect(call.source == "/data" && call.directory == "/mnt")
        #expect(call.options.accessTimes == .noatime && !call.isFake)
        #expect(try MountHelper.Call(["-f", "-oro", "/data", "/mnt"]).isFake)
        #expect(try MountHelper.Call(["-r", "/data", "/mnt"]).options.readOnly)
    }

    @Test(arguments: [
        ["/data"], ["/data", "/mnt", "more"], ["/data", "/mnt", "-o"], ["/data", "/mnt", "-q"], ["/data", "/mnt", "--bad"], ["", "/mnt"],
    ])
    func refuses(_ arguments: [String]) {
        #expect(throws: Failure.self) { try MountHelper.Call(arguments) }
    }
}
