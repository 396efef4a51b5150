import FUSE
import Glibc
import Synchronization
import Syscalls
import SystemPackage

/// A file system in memory for the tests of FUSE: one lock, everything that a kernel can ask for but locks and ioctl.
/// Nodes are never reused.
final class MemoryFileSystem: FUSEFileSystem {
    final class Node {
        var attributes: Attributes
        var birth: FileTime
        var content: [UInt8] = []
        var children: [[UInt8]: UInt64] = [:]
        /// Names in order of creation with their readdir offsets; nil where one was removed.
        var order: [(name: [UInt8], node: UInt64)?] = []
        var positions: [[UInt8]: Int] = [:]
        var target: [UInt8] = []
        var xattrs: [[UInt8]: [UInt8]] = [:]
        var parent: UInt64 = 0
        var lookups: UInt64 = 0

        init(_ attributes: Attributes) {
            self.attributes = attributes
            birth = attributes.ctime
        }

        var isDirectory: Bool { attributes.mode & S_IFMT == S_IFDIR }

        func add(_ name: [UInt8], _ node: UInt64) {
            children[name] = node
            positions[name] = order.count
            order.append((name, node))
        }

        func remove(_ name: [UInt8]) {
            children[name] = nil
            if let position = positions.removeValue(forKey: name) { order[position] = nil }
        }
    }

    struct State {
        var nodes: [UInt64: Node] = [:]
        var next: UInt64 = 2
    }

    struct Options {
        var answersOpen = false
        var answersCreate = true
        var answersFlush = false
    }

    let state: Mutex<State>
    let forgotten = Monitor()
    let options: Options
    let counts = Mutex<[String: Int]>([:])
    let notifier = Mutex<Notifier?>(nil)
    let connection = Mutex<Connection?>(nil)
    let destroyed = Atomic<Bool>(false)

    init(_ options: Options = Options()) {
        self.options = options
        var initial = State()
        let now = Self.now()
        initial.nodes[1] = Node(
            Attributes(inode: 1, atime: now, mtime: now, ctime: now, mode: S_IFDIR | 0o755, linkCount: 2, uid: getuid(), gid: getgid()))
        state = Mutex(initial)
    }

    func started(_ connection: Connection, _ notifier: Notifier) {
        self.connection.withLock { $0 = connection }
        self.notifier.withLock { $0 = notifier }
    }

    func destroy() { destroyed.store(true, ordering: .relaxed) }

    /// While this is set, `statfs` waits until the mount has answered a READLINK.
    let statfsWaits = Atomic<Bool>(false)

    func note(_ name: String) { counts.withLock { $0[name, default: 0] += 1 } }
    func count(_ name: String) -> Int { counts.withLock { $0[name] ?? 0 } }

    static func now() -> FileTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return FileTime(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
    }
}

extension MemoryFileSystem.State {
    func node(_ id: NodeID) throws(Errno) -> MemoryFileSystem.Node {
        guard let node = nodes[id.rawValue] else { throw Errno(rawValue: ESTALE) }
        return node
    }

    func directory(_ id: NodeID) throws(Errno) -> MemoryFileSystem.Node {
        let node = try node(id)
        guard node.isDirectory else { throw .notDirectory }
        return node
    }

    mutating func make(mode: UInt32, rdev: UInt32 = 0, _ context: RequestContext) -> MemoryFileSystem.Node {
        let now = MemoryFileSystem.now()
        let node = MemoryFileSystem.Node(
            Attributes(inode: next, atime: now, mtime: now, ctime: now, mode: mode, uid: context.uid, gid: context.gid, rdev: rdev))
        if node.isDirectory { node.attributes.linkCount = 2 }
        nodes[next] = node
        next += 1
        return node
    }

    /// Forgets a node without names and references.
    mutating func dropIfUnused(_ node: MemoryFileSystem.Node) {
        if node.attributes.linkCount == 0 && node.lookups == 0 { nodes[node.attributes.inode] = nil }
    }

    mutating func unlinked(_ node: MemoryFileSystem.Node) {
        node.attributes.linkCount = node.isDirectory ? 0 : node.attributes.linkCount - 1
        node.attributes.ctime = MemoryFileSystem.now()
        dropIfUnused(node)
    }
}

extension MemoryFileSystem.Node {
    /// An answer that counts as a lookup.
    func entry() -> Entry {
        lookups += 1
        return Entry(node: NodeID(attributes.inode), attributes: attributes)
    }

    func touched() {
        let now = MemoryFileSystem.now()
        attributes.mtime = now
        attributes.ctime = now
    }

    func resize(_ size: Int) {
        if size < content.count {
            content.removeLast(content.count - size)
        } else {
            content += [UInt8](repeating: 0, count: size - content.count)
        }
        attributes.sizeBytes = UInt64(size)
        attributes.blocks = UInt64((size + 511) / 512)
    }
}
