import ArgumentParser
import Syscalls
import Testing

@testable import efs

@Suite struct MountOptionListTests {
    @Test func readsTheUsualWords() throws {
        let list = try MountOptionList(
            parsing: "ro,allow_other,default_permissions,fsname=vault,noatime,nosuid,nodev,noexec,log_level=WARN")
        #expect(list.readOnly && list.allowOther && list.defaultPermissions && !list.allowRoot)
        #expect(list.fileSystemName == "vault" && list.accessTimes == .noatime && list.logLevel == .warn)
        #expect(list.honorsSetuid == false && list.honorsDevices == false && list.honorsExecutables == false)
    }

    @Test func skipsWordsOfFstab() throws {
        let list = try MountOptionList(parsing: "defaults,noauto,user,users,_netdev,nofail,rw,x-systemd.automount,x-gvfs-show,comment=a")
        #expect(list == MountOptionList())
    }

    @Test func keepsCommasInValues() throws {
        #expect(try MountOptionList(parsing: #"fsname=a\,b,ro"#).fileSystemName == "a,b")
        #expect(try MountOptionList(parsing: #"password_command="pass show a,b""#).passwordCommand == "pass show a,b")
        #expect(try MountOptionList(parsing: #"fsname=a\b"#).fileSystemName == #"a\b"#)
    }

    @Test(arguments: [
        "bogus", "fsname=", "log_level=loud", "cache_mib=0", "cache_mib=x", "transport=pigeon", "expect_generation=-1", "sync", "remount",
    ])
    func refuses(_ text: String) {
        #expect(throws: Failure.self) { try MountOptionList(parsing: text) }
    }

    @Test func skipsUnknownWordsIfLenient() throws {
        #expect(try MountOptionList(parsing: "bogus,ro", lenient: true).readOnly)
    }

    /// The serving process parses what `MountRequest` wrote.
    @Test func requestSurvivesItsCommandLine() throws {
        var options = try MountOptionList(
            parsing: #"noatime,suid,nodev,transport=uring,fsname=a\,"b\\,default_permissions"#.replacingQuotes)
        options.readOnly = true
        options.cacheMebibytes = 7
        options.expectedGeneration = .max
        let request = MountRequest(dataDirectory: "/", mountPoint: "/tmp", options: options, log: .init(level: .warn, file: "/tmp/log"))
        let command = try #require(try EFSCommand.parseAsRoot(request.arguments(handover: 3)) as? MountCommand)
        #expect(try command.request() == request)
        #expect(command.handoverFd == 3)
    }
}

extension String {
    /// The test's text with its one bare quote escaped.
    fileprivate var replacingQuotes: String { split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") }
}
