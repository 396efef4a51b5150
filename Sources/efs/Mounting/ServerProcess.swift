import CSyscalls
import Glibc
import Mount
import Syscalls
import SystemPackage

/// The process that serves a mount, seen from outside.
struct ServerProcess {
    private let process: OwnedDescriptor

    /// Nil if there is none, or none that can be told.
    init?(of mount: MountTable.Entry) {
        guard let found = Self.named(by: mount) ?? Self.search(for: mount) else { return nil }
        process = found
    }

    /// As the mount itself says, if it answers to this user.
    private static func named(by mount: MountTable.Entry) -> OwnedDescriptor? {
        guard mount.isOurs, let id = MountedVolume.server(of: mount.mountPoint) else { return nil }
        // In another namespace the number may be another program's.
        return open(id, for: mount) { $0.count > 1 && $0.contains("mount") }
    }

    /// By its command line, which `MountRequest.arguments` wrote.
    private static func search(for mount: MountTable.Entry) -> OwnedDescriptor? {
        for name in (try? directoryNames("/proc")) ?? [] {
            if let id = pid_t(name), let found = open(id, for: mount, if: { serves(mount.mountPoint, $0) }) { return found }
        }
        return nil
    }

    /// The process of that number, if it is the mounting user's or root's, and its command line is as expected: that one alone anybody
    /// can write. The descriptor stays with it even if its number is given to
    /// another.
    private static func open(_ id: pid_t, for mount: MountTable.Entry, if isExpected: ([String]) -> Bool) -> OwnedDescriptor? {
        let descriptor = efs_pidfd_open(id)
        guard descriptor >= 0 else { return nil }
        let process = OwnedDescriptor(adopting: descriptor)
        // Read after the descriptor was opened: it is the same process, or the number is free.
        guard let user = realUser(of: id), user == 0 || user == mount.userID else { return nil }
        guard let words = commandLine(of: id), isExpected(words) else { return nil }
        return process
    }

    /// Not a process that is only about to start one.
    private static func serves(_ mountPoint: String, _ words: [String]) -> Bool {
        words.count > 3 && words[0].hasSuffix("efs") && words[1] == "mount" && words.contains(mountPoint)
            && (words.contains("--handover-fd") || words.contains("--foreground"))
    }

    private static func commandLine(of id: pid_t) -> [String]? {
        guard let text = try? SmallTextFile.read("/proc/\(id)/cmdline", limitBytes: 1 << 20) else { return nil }
        return text.split(separator: "\0", omittingEmptySubsequences: false).map(String.init)
    }

    private static func realUser(of id: pid_t) -> UInt32? {
        guard let text = try? SmallTextFile.read("/proc/\(id)/status", limitBytes: 1 << 16) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("Uid:") }
        return line?.split(whereSeparator: { $0 == "\t" || $0 == " " }).dropFirst().first.flatMap { UInt32($0) }
    }

    private static let noticeMilliseconds: Int32 = 10_000
    private static let limitMilliseconds: Int32 = 600_000

    /// Blocks until it has ended, which it does once everything is on stable storage. Fails with `busy` after ten minutes.
    func waitForEnd() throws(Failure) {
        if try wait(milliseconds: Self.noticeMilliseconds) { return }
        Console.note("waiting until everything is on stable storage")
        if try wait(milliseconds: Self.limitMilliseconds) { return }
        throw Failure(
            .busy, "it is unmounted, but the process that served it has not ended yet", object: "efs",
            hint: "do not take the storage away before it has")
    }

    private func wait(milliseconds: Int32) throws(Failure) -> Bool {
        var request = pollfd(fd: process.rawValue, events: Int16(POLLIN), revents: 0)
        do throws(Errno) { return try retryingCount { Int(poll(&request, 1, milliseconds)) } > 0 } catch {
            throw Failure(systemCall: "waiting", object: "the process that serves the mount", error)
        }
    }
}
