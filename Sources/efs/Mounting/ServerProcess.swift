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
        guard let directory = opendir("/proc") else { return nil }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let id = pid_t(name), let words = Self.commandLine(of: id), Self.serves(mount.mountPoint, words) else { continue }
            // The descriptor stays with this process even if its number is given to another.
            let descriptor = efs_pidfd_open(id)
            guard descriptor >= 0 else { continue }
            process = OwnedDescriptor(adopting: descriptor)
            return
        }
        return nil
    }

    /// The process of that number, if its command line is as expected. The descriptor stays with it even if its number is given to
    /// another.
    private static func open(_ id: pid_t, if isExpected: ([String]) -> Bool) -> OwnedDescriptor? {
        let descriptor = efs_pidfd_open(id)
        guard descriptor >= 0 else { return nil }
        let process = OwnedDescriptor(adopting: descriptor)
        // Read after the descriptor was opened: it is the same process, or the number is free.
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

    /// Blocks until it has ended, which it does once everything is on stable storage.
    func waitForEnd() throws(Failure) {
        var request = pollfd(fd: process.rawValue, events: Int16(POLLIN), revents: 0)
        do throws(Errno) { _ = try retrying { poll(&request, 1, -1) } } catch {
            throw Failure(systemCall: "waiting", object: "the process that serves the mount", error)
        }
    }
}
