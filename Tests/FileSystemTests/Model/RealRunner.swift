import FileSystem
import Glibc
import SystemPackage

/// Runs operations on a real directory, by system calls. Each node is held by a descriptor (O_PATH), so that it can be reached
/// without its name.
final class RealRunner {
    private var descriptors: [CInt] = []
    private let path: String
    /// What this file system cannot do is not compared: some count no links of directories, some cannot zero ranges.
    let countsDirectoryLinks: Bool
    let canExchange: Bool
    let canZeroRanges: Bool
    let hasXattrs: Bool

    init?() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var template = Array("/tmp/efs-model-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        chmod(path, 0o755)
        let root = open(path, GNU.pathOnly | O_DIRECTORY)
        guard root >= 0 else { return nil }
        descriptors = [root]
        var status = stat()
        mkdirat(root, "a", 0o755)
        mkdirat(root, "b", 0o755)
        fstatat(root, "", &status, GNU.emptyPath)
        countsDirectoryLinks = status.st_nlink == 4
        canExchange = GNU.renameat2(root, "a", root, "b", 2) == 0
        unlinkat(root, "a", AT_REMOVEDIR)
        unlinkat(root, "b", AT_REMOVEDIR)
        let file = openat(root, "f", O_RDWR | O_CREAT, 0o644)
        canZeroRanges = GNU.fallocate(file, 0x10, 0, 10) == 0 && GNU.fallocate(file, 0x03, 0, 10) == 0
        hasXattrs = GNU.setxattr("\(path)/f", "user.a", "a", 1, 0) == 0
        close(file)
        unlinkat(root, "f", 0)
    }

    deinit {
        for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
        if let process = popen("rm -rf '\(path)'", "r") { pclose(process) }
    }

    /// Lets go of a node that is gone.
    func forget(_ node: Node) {
        guard descriptors[node] >= 0 else { return }
        close(descriptors[node])
        descriptors[node] = -1
    }

    /// Nil if the operation is not one that can be compared.
    func run(_ operation: Operation) -> Outcome? {
        do throws(Errno) { return try perform(operation) } catch { return .failed(error) }
    }

    @discardableResult
    private func check<T: FixedWidthInteger>(_ result: T) throws(Errno) -> T {
        if result < 0 { throw Errno(rawValue: errno) }
        return result
    }

    private func text(_ name: Name) -> String { String(decoding: name, as: UTF8.self) }
    private func link(_ node: Node) -> String { "/proc/self/fd/\(descriptors[node])" }

    private func made(_ directory: Node, _ name: Name) throws(Errno) -> Outcome {
        descriptors.append(try check(openat(descriptors[directory], text(name), GNU.pathOnly | O_NOFOLLOW)))
        return .node(try status(descriptors.count - 1))
    }

    private func status(_ node: Node) throws(Errno) -> Status {
        var status = stat()
        try check(fstatat(descriptors[node], "", &status, GNU.emptyPath))
        return Self.status(status)
    }

    private static func status(_ status: stat) -> Status {
        let type = InodeType(mode: status.st_mode) ?? .regular
        return Status(
            type: type, permissions: status.st_mode & 0o7777, linkCount: UInt32(status.st_nlink),
            sizeBytes: type == .directory ? 0 : UInt64(status.st_size))
    }

    private func perform(_ operation: Operation) throws(Errno) -> Outcome? {
        switch operation {
        case .makeNode(let directory, let name, let type, let mode):
            try check(mknodat(descriptors[directory], text(name), type.modeBits | mode, 0))
            try check(fchmodat(descriptors[directory], text(name), mode, 0))
            return try made(directory, name)
        case .makeDirectory(let directory, let name, let mode):
            try check(mkdirat(descriptors[directory], text(name), mode))
            try check(fchmodat(descriptors[directory], text(name), mode, 0))
            return try made(directory, name)
        case .makeSymbolicLink(let directory, let name, let target):
            try check(
                (target + [0]).withUnsafeBufferPointer { target in
                    target.withMemoryRebound(to: CChar.self) { symlinkat($0.baseAddress!, descriptors[directory], text(name)) }
                })
            return try made(directory, name)
        case .lookup(let directory, let name):
            var status = stat()
            try check(fstatat(descriptors[directory], text(name), &status, AT_SYMLINK_NOFOLLOW))
            return .node(Self.status(status))
        case .unlink(let directory, let name): try check(unlinkat(descriptors[directory], text(name), 0))
        case .removeDirectory(let directory, let name): try check(unlinkat(descriptors[directory], text(name), AT_REMOVEDIR))
        case .rename(let from, let oldName, let to, let newName, let flags):
            try check(GNU.renameat2(descriptors[from], text(oldName), descriptors[to], text(newName), flags.rawValue))
        case .link(let node, let directory, let name):
            try check(linkat(AT_FDCWD, link(node), descriptors[directory], text(name), AT_SYMLINK_FOLLOW))
        case .open, .close: return nil
        case .status(let node): return .node(try status(node))
        case .changeMode(let node, let mode): try check(chmod(link(node), mode))
        case .readLink(let node):
            guard try status(node).type == .symbolicLink else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try check(
                buffer.withUnsafeMutableBufferPointer { buffer in
                    buffer.withMemoryRebound(to: CChar.self) { readlinkat(descriptors[node], "", $0.baseAddress!, 4096) }
                })
            return .bytes(Array(buffer[..<count]))
        case .list(let directory): return .entries(try list(directory))
        default: return try performOnContent(operation)
        }
        return .done
    }

    private func list(_ directory: Node) throws(Errno) -> [Outcome.Entry] {
        let descriptor = try check(openat(descriptors[directory], ".", O_RDONLY | O_DIRECTORY))
        guard let stream = fdopendir(descriptor) else { throw Errno(rawValue: errno) }
        defer { closedir(stream) }
        // Of a directory that was removed readdir(3) makes an empty one.
        var first = [UInt8](repeating: 0, count: 4096)
        try check(GNU.getdents64(descriptor, &first, first.count))
        lseek(descriptor, 0, SEEK_SET)
        var entries: [Outcome.Entry] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != Array(".".utf8), name != Array("..".utf8) {
                entries.append(Outcome.Entry(name: name, type: InodeType(rawValue: entry.pointee.d_type) ?? .regular))
            }
            errno = 0
        }
        if errno != 0 { throw Errno(rawValue: errno) }
        return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }
}

// MARK: Content
extension RealRunner {
    /// Opens a regular file; nil for anything else, which is not compared (a FIFO would wait).
    private func opened(_ node: Node) throws(Errno) -> CInt? {
        guard try status(node).type == .regular else { return nil }
        return try check(open(link(node), O_RDWR))
    }

    private func performOnContent(_ operation: Operation) throws(Errno) -> Outcome? {
        switch operation {
        case .truncate(let node, let size):
            guard let file = try opened(node) else { return nil }
            defer { close(file) }
            try check(ftruncate(file, off_t(size)))
        case .write(let node, let offset, let data):
            guard let file = try opened(node) else { return nil }
            defer { close(file) }
            try check(pwrite(file, data, data.count, off_t(offset)))
        case .read(let node, let offset, let count):
            guard let file = try opened(node) else { return nil }
            defer { close(file) }
            var buffer = [UInt8](repeating: 0, count: count)
            let done = try check(pread(file, &buffer, count, off_t(offset)))
            return .bytes(Array(buffer[..<done]))
        case .allocate(let node, let offset, let length, let mode):
            guard let file = try opened(node) else { return nil }
            defer { close(file) }
            let flags: CInt =
                switch mode {
                case .allocate(let keepSize): keepSize ? 1 : 0
                case .punchHole: 3
                case .zeroRange(let keepSize): keepSize ? 0x11 : 0x10
                }
            try check(GNU.fallocate(file, flags, off_t(offset), off_t(length)))
        case .copy(let source, let from, let target, let to, let length):
            guard let input = try opened(source) else { return nil }
            defer { close(input) }
            guard let output = try opened(target) else { return nil }
            defer { close(output) }
            return .count(try copy(input, off_t(from), output, off_t(to), Int(length)))
        case .setXattr(let node, let name, let value, let mode):
            let flags: CInt = mode == .create ? 1 : mode == .replace ? 2 : 0
            try check(GNU.setxattr(link(node), text(name), value, value.count, flags))
        case .xattr(let node, let name):
            var buffer = [UInt8](repeating: 0, count: 1000)
            let count = try check(GNU.getxattr(link(node), text(name), &buffer, buffer.count))
            return .bytes(Array(buffer[..<count]))
        case .removeXattr(let node, let name): try check(GNU.removexattr(link(node), text(name)))
        default: return nil
        }
        return .done
    }

    /// As one call that is never cut short. Where it copies within one file and lets that grow, going on would copy what it made itself.
    private func copy(_ input: CInt, _ from: off_t, _ output: CInt, _ to: off_t, _ length: Int) throws(Errno) -> UInt64 {
        var status = stat()
        try check(fstat(input, &status))
        let end = status.st_size
        var (from, to) = (from, to)
        var done = 0
        repeat {
            let count = try check(GNU.copyFileRange(input, &from, output, &to, length - done, 0))
            if count == 0 { break }
            done += count
        } while done < length && from < end
        return UInt64(done)
    }
}
