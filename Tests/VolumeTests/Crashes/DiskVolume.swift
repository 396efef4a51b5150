import BlobStorage
import DiskSimulation
import Glibc
import KeyManagement
import LinuxTesting
import Sealing
import Synchronization
import Syscalls
import SystemPackage

@testable import FileSystem
@testable import Log

/// Where a machine keeps what it saw last of volumes: in memory, where there is such a place. Removed at the end.
final class StateDirectory: Sendable {
    let path: String

    init() throws {
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(parent)/efs-disk-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(systemCall: "mkdtemp", object: parent, .current) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for name in (try? directoryNames(path)) ?? [] { Glibc.unlink("\(path)/\(name)") }
        rmdir(path)
    }

    /// This machine's memory of all volumes, as it is on its own disk.
    var files: [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in (try? directoryNames(path)) ?? [] { result[name] = try? readFile("\(path)/\(name)") }
        return result
    }

    func set(_ files: [String: [UInt8]]) throws {
        for name in try directoryNames(path) where files[name] == nil { Glibc.unlink("\(path)/\(name)") }
        for (name, bytes) in files { try writeFile("\(path)/\(name)", bytes) }
    }
}

/// Volumes on simulated disks: small segments and tables, no threads, and no key that is derived twice.
final class DiskVolumes: Sendable {
    static let passwords = ["first", "second"]
    private let keys = Mutex<[[UInt8]: (password: Int, keys: KeyHierarchy)]>([:])

    func options(_ state: StateDirectory, _ change: (inout VolumeOptions) -> Void = { _ in }) -> VolumeOptions {
        var options = VolumeOptions()
        options.stateDirectory = state.path
        options.cacheBytes = 1 << 20
        options.adjustLog = { log in
            log.hasHousekeeper = false
            log.segmentSizeBytes = 64 << 10
            log.memoryTableBytes = 64 << 10
            log.reserveBytes = 32 << 10
        }
        change(&options)
        return options
    }

    func create(_ disk: SimulatedDisk, _ options: VolumeOptions, suite: CipherSuite = .aes256Gcm) throws(Failure) {
        try Volume.create(
            in: disk.storage(), suite: suite, password: secret(Self.passwords[0]), cost: .minimumForTests, options: options)
    }

    func open(_ disk: SimulatedDisk, _ options: VolumeOptions) throws(Failure) -> Volume {
        try Volume.open(in: disk.storage(readOnly: options.isReadOnly), options: options) { (header) throws(Failure) in
            try unlock(header).keys
        }
    }

    /// Which of the passwords opens it, and the keys.
    func unlock(_ header: VolumeHeader) throws(Failure) -> (password: Int, keys: KeyHierarchy) {
        let bytes = header.encoded
        if let known = keys.withLock({ $0[bytes] }) { return known }
        var result: (password: Int, keys: KeyHierarchy)?
        for (number, password) in Self.passwords.enumerated() where result == nil {
            do throws(Failure) { result = (number, try header.unlock(password: secret(password))) } catch {
                if error.kind != .wrongPassword { throw error }
            }
        }
        guard let result else { throw Failure(.wrongPassword, "none of the passwords opens it") }
        keys.withLock { $0[bytes] = result }
        return result
    }
}

/// Paths for a file system that knows inodes.
extension FileSystem {
    func find(_ path: String) throws(Errno) -> Attributes {
        var found = try attributes(.root)
        for part in path.split(separator: "/") {
            found = try named(String(part)) { (name) throws(Errno) in try lookup(found.inode, name, retaining: false) }
        }
        return found
    }

    private func named<R>(_ name: String, _ body: (UnsafeRawBufferPointer) throws(Errno) -> R) throws(Errno) -> R {
        let bytes = Array(name.utf8)
        return try bytes.withBytes { (bytes) throws(Errno) in try body(bytes) }
    }

    /// The directory and the last name of a path.
    func withParent<R>(_ path: String, _ body: (InodeID, UnsafeRawBufferPointer) throws(Errno) -> R) throws(Errno) -> R {
        let parts = path.split(separator: "/").map(String.init)
        let parent = try find(parts.dropLast().joined(separator: "/")).inode
        return try named(parts.last ?? "") { (name) throws(Errno) in try body(parent, name) }
    }

    private static let caller = Caller(uid: 0, gid: 0)

    @discardableResult
    func makeFile(_ path: String) throws(Errno) -> InodeID {
        try withParent(path) { (parent, name) throws(Errno) in
            try makeNode(parent, name, mode: 0o644, caller: Self.caller, retaining: false).inode
        }
    }

    func makeFolder(_ path: String) throws(Errno) {
        _ = try withParent(path) { (parent, name) throws(Errno) in
            try makeDirectory(parent, name, mode: 0o755, caller: Self.caller, retaining: false)
        }
    }

    func write(_ path: String, at offset: Int, _ bytes: [UInt8]) throws(Errno) {
        let inode = try find(path).inode
        _ = try bytes.withBytes { (bytes) throws(Errno) in try write(inode, at: UInt64(offset), from: bytes) }
    }

    func truncate(_ path: String, to size: Int) throws(Errno) {
        var changes = AttributeChanges()
        changes.sizeBytes = UInt64(size)
        _ = try setAttributes(try find(path).inode, changes)
    }

    func unlink(_ path: String) throws(Errno) { try withParent(path) { (parent, name) throws(Errno) in try unlink(parent, name) } }

    func rename(_ path: String, _ new: String) throws(Errno) {
        try withParent(path) { (from, name) throws(Errno) in
            try withParent(new) { (to, newName) throws(Errno) in try rename(from, name, to: to, newName, flags: []) }
        }
    }

    func link(_ path: String, _ new: String) throws(Errno) {
        let inode = try find(path).inode
        _ = try withParent(new) { (parent, name) throws(Errno) in try link(inode, parent, name, retaining: false) }
    }

    func synchronize(_ path: String) throws(Errno) { try synchronize(try find(path).inode, dataOnly: false) }

    func bytes(_ attributes: Attributes) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xDD, count: Int(attributes.sizeBytes))
        let count = try bytes.withMutableBytes { (bytes) throws(Errno) in try read(attributes.inode, at: 0, into: bytes) }
        return Array(bytes[..<count])
    }

    /// All that there is; what cannot be read is told of in `unreadable`, or thrown where that is nil.
    func crashTree(unreadable: ((String, Errno) -> Void)? = nil) throws(Errno) -> CrashTree {
        var tree = CrashTree()
        try collect(.root, "", &tree, unreadable)
        return tree
    }

    private func collect(
        _ directory: InodeID, _ prefix: String, _ tree: inout CrashTree, _ unreadable: ((String, Errno) -> Void)?
    ) throws(Errno) {
        var names: [String] = []
        do throws(Errno) {
            try listDirectory(directory, after: 0, withAttributes: false, retaining: false) { entry in
                names.append(String(decoding: entry.name, as: UTF8.self))
                return true
            }
        } catch {
            guard let unreadable else { throw error }
            unreadable(prefix, error)
        }
        for name in names where name != "." && name != ".." {
            let path = prefix + name
            do throws(Errno) {
                let found = try named(name) { (name) throws(Errno) in try lookup(directory, name, retaining: false) }
                let isDirectory = found.type == .directory
                let content = isDirectory ? nil : try bytes(found)
                tree.entries[path] = CrashTree.Entry(
                    content: content, linkCount: Int(found.linkCount), permissions: Int(found.permissions))
                if isDirectory { try collect(found.inode, path + "/", &tree, unreadable) }
            } catch {
                guard let unreadable else { throw error }
                unreadable(path, error)
            }
        }
    }
}
