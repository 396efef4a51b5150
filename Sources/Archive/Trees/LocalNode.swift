import CSyscalls
import FileSystem
import Glibc
import Syscalls
import SystemPackage

/// System calls on a name in an open directory, or on an open file; nothing follows a symbolic link.
struct LocalNode {
    /// The directory of `name`, or, if that is nil, the node itself.
    let descriptor: OwnedDescriptor
    let name: [UInt8]?

    static func withCString<R, E: Error>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) throws(E) -> R) throws(E) -> R {
        try (bytes + [0]).withBytes { (bytes) throws(E) in try body(bytes.assumingMemoryBound(to: CChar.self).baseAddress!) }
    }

    static func open(
        _ name: [UInt8], in directory: OwnedDescriptor?, _ flags: CInt, mode: mode_t = 0o600
    ) throws(Errno) -> OwnedDescriptor {
        try withCString(name) { (name) throws(Errno) in
            OwnedDescriptor(
                adopting: try retrying { efs_open(directory?.rawValue ?? AT_FDCWD, name, flags | O_CLOEXEC | O_NOFOLLOW, mode) })
        }
    }

    func status() throws(Errno) -> stat {
        guard let name else { return try descriptor.status() }
        var result = stat()
        let status = Self.withCString(name) { fstatat(descriptor.rawValue, $0, &result, AT_SYMLINK_NOFOLLOW) }
        if status != 0 { throw Errno.current }
        return result
    }

    /// Owner, if we may give things away; permissions, but of a symbolic link.
    func setOwner(_ entry: ArchiveEntry) throws(Errno) {
        if geteuid() == 0 {
            try call { path, flags in fchownat(descriptor.rawValue, path, entry.uid, entry.gid, flags) }
        }
        if case .symbolicLink = entry.kind { return }
        if let name {
            _ = try Self.withCString(name) { (name) throws(Errno) in
                try retrying { fchmodat(descriptor.rawValue, name, mode_t(entry.permissions), 0) }
            }
        } else {
            _ = try retrying { fchmod(descriptor.rawValue, mode_t(entry.permissions)) }
        }
    }

    func setTimes(_ entry: ArchiveEntry) throws(Errno) {
        // UTIME_OMIT, which is a macro.
        let omit = timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
        let time = { (time: Timestamp?) in time.map { timespec(tv_sec: Int($0.seconds), tv_nsec: Int($0.nanoseconds)) } ?? omit }
        let times = [time(entry.accessTime), time(entry.modificationTime)]
        try call { path, flags in
            // An open file is named by its descriptor alone.
            name == nil ? futimens(descriptor.rawValue, times) : utimensat(descriptor.rawValue, path, times, flags)
        }
    }

    private func call(_ body: (UnsafePointer<CChar>, CInt) -> CInt) throws(Errno) {
        _ = try Self.withCString(name ?? []) { (path) throws(Errno) in
            // AT_EMPTY_PATH, a macro that Swift does not see.
            try retrying { body(path, name == nil ? 0x1000 : AT_SYMLINK_NOFOLLOW) }
        }
    }
}

// MARK: Extended attributes
extension LocalNode {
    /// Lends what names the node to the calls that take a path and no directory, and do not follow its last name; nil for an open file.
    private func withPath<R>(_ body: (UnsafePointer<CChar>?) throws(Errno) -> R) throws(Errno) -> R {
        guard let name else { return try body(nil) }
        let path = Array("/proc/self/fd/\(descriptor.rawValue)/".utf8) + name
        return try Self.withCString(path) { (path) throws(Errno) in try body(path) }
    }

    func extendedAttributes() throws(Errno) -> [ArchiveEntry.ExtendedAttribute] {
        try withPath { (path) throws(Errno) in
            let names: [UInt8]
            do throws(Errno) {
                names = try Self.value { efs_list_xattr(descriptor.rawValue, path, $0, UInt($1)) }
            } catch {
                if error == .notSupported { return [] }
                throw error
            }
            var result: [ArchiveEntry.ExtendedAttribute] = []
            for name in names.split(separator: 0).map({ Array($0) }) {
                do throws(Errno) {
                    let value = try Self.value { buffer, count in
                        Self.withCString(name) { efs_get_xattr(descriptor.rawValue, path, $0, buffer, UInt(count)) }
                    }
                    result.append(.init(name: name, value: value))
                } catch {
                    // Removed meanwhile, or not for us to see.
                    if error != .noData && error != .permissionDenied && error != .notPermitted { throw error }
                }
            }
            return result
        }
    }

    func setExtendedAttribute(_ attribute: ArchiveEntry.ExtendedAttribute) throws(Errno) {
        _ = try withPath { (path) throws(Errno) in
            try Self.withCString(attribute.name) { (name) throws(Errno) in
                try retrying { efs_set_xattr(descriptor.rawValue, path, name, attribute.value, UInt(attribute.value.count)) }
            }
        }
    }

    /// What a call gives that first tells the size; asked again if it grew between.
    private static func value(_ call: (UnsafeMutableRawPointer?, Int) -> Int) throws(Errno) -> [UInt8] {
        while true {
            var bytes = [UInt8](repeating: 0, count: try retryingCount { call(nil, 0) })
            if bytes.isEmpty { return [] }
            let got = bytes.withMutableBytes { call($0.baseAddress, $0.count) }
            if got >= 0 { return Array(bytes.prefix(got)) }
            if errno != ERANGE && errno != EINTR { throw Errno.current }
        }
    }
}
