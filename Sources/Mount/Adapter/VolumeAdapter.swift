package import FUSE
package import FileSystem
package import Logging
import Synchronization
package import SystemPackage

/// Answers the kernel's requests from a `FileSystem`. Node ids are inode numbers, so there is no table of nodes and nothing to
/// forget but lookup counts. Stateless, and so as thread-safe as the file system is.
///
/// The mount is the only way the volume changes, unless another face posts notifications (`MountedVolume+Sharing.swift`). So the kernel
/// may believe names, missing names and attributes for ever, and opening a file tells us nothing that we need: OPEN, OPENDIR and FLUSH
/// answer ENOSYS once and are never sent again. That a file is open is held by its lookup count. Where there is another face OPEN is
/// answered, since it says who may write.
package final class VolumeAdapter: FUSEFileSystem {
    package struct Options: Sendable {
        /// Only this user and root may enter; nil if the kernel sees to that, or everybody may.
        package var onlyUser: UInt32?
        /// CREATE opens a file, which the kernel later tells the end of; MKNOD, which it sends otherwise, does not.
        package var answersCreate = false
        /// The kernel forgets what it has cached of a file at each opening, so that reading it comes here and counts as access.
        package var asksForReads = false
        /// The same for directories.
        package var asksForListings = false
        /// Another face in this process changes the volume too, and has to know of which files the kernel may hold unwritten bytes.
        package var isShared = false
        /// A name in the root directory that the mount does not show.
        package var hiddenName: [UInt8]?

        package init() {}
    }

    let fileSystem: FileSystem
    let options: Options
    private let logger: Logger
    /// There from the start of the session on.
    private let notifier = Mutex<Notifier?>(nil)
    /// Only where the volume is shared.
    let writers = WriterCounts()
    /// Changes through other faces that the kernel may not know of yet.
    let foreignChanges = Atomic<Int>(0)

    package init(_ fileSystem: FileSystem, _ options: Options, _ logger: Logger) {
        self.fileSystem = fileSystem
        self.options = options
        self.logger = logger
    }

    package func started(_ connection: Connection, _ notifier: Notifier) {
        self.notifier.withLock { $0 = notifier }
        logger.debug(
            "the kernel is connected",
            metadata: [
                "protocol": "7.\(connection.minor)", "flags": "0x\(String(connection.flags.rawValue, radix: 16))",
                "transfer": "\(connection.maxTransferBytes)",
            ])
    }

    // MARK: Other faces

    /// The kernel moves what it has cached under the old name to the new one; where another face gave the old name to something else
    /// shortly before, that is not what was renamed. What that face says of the old name comes too late: the kernel has none then.
    func forgetRenamed(_ places: (NodeID, NameBytes)...) {
        guard options.isShared, foreignChanges.load(ordering: .sequentiallyConsistent) > 0 else { return }
        let notifier = notifier.withLock { $0 }
        for (parent, name) in places { notifier?.post(.invalidateEntry(parent: parent, name: Array(name))) }
        for (parent, _) in places { notifier?.post(.invalidateInode(parent, offset: 0, length: 0)) }
    }

    func isHidden(_ parent: NodeID, _ name: NameBytes) -> Bool {
        guard let hidden = options.hiddenName, parent == .root else { return false }
        return name.elementsEqual(hidden)
    }

    /// For what makes a name.
    func refuseHidden(_ parent: NodeID, _ name: NameBytes) throws(Errno) {
        if isHidden(parent, name) { throw .notPermitted }
    }

    // MARK: Answers

    /// With `onlyUser`, the root directory shows as that user's, with no rights for others, whoever owns it in the volume: that is where
    /// every path begins, and the kernel itself then refuses, also for what it has cached.
    func kernelAttributes(_ attributes: InodeAttributes) -> KernelAttributes {
        var result = KernelAttributes(attributes)
        if let user = options.onlyUser, attributes.inode == .root {
            result.uid = user
            result.mode = result.mode & ~0o777 | 0o700
        }
        return result
    }

    func entry(_ attributes: InodeAttributes) -> Entry {
        Entry(node: NodeID(attributes.inode), attributes: kernelAttributes(attributes))
    }

    /// What the kernel says of its own requests.
    private static let noUser = UInt32.max

    /// The second line of defence where only one user may enter; see `kernelAttributes`. For what begins with a path; not for what is
    /// done with an open file, which its owner may hand on, and whose pages the kernel reads and writes when it likes.
    func checkUser(_ context: RequestContext) throws(Errno) {
        guard let user = options.onlyUser, context.uid != user, context.uid != 0, context.uid != Self.noUser else { return }
        throw .permissionDenied
    }

    // MARK: Set-user-ID

    /// Whether the file has a mode bit that a write by an ordinary user takes away.
    func hasSetIDs(_ node: NodeID) throws(Errno) -> Bool {
        try fileSystem.attributes(InodeID(node)).mode & (Mode.setUserID | Mode.setGroupID) != 0
    }

    /// Tells the kernel that they are gone. With FUSE_HANDLE_KILLPRIV_V2 it leaves clearing them to us, but goes on showing them
    /// as long as the attributes are valid.
    func forgetSetIDs(_ node: NodeID) { notifier.withLock { $0 }?.invalidateAttributes(node) }

    /// For a change of content of which the kernel does not say whether it clears them: it does unless root makes it.
    func clearSetIDs(_ node: NodeID, _ context: RequestContext) throws(Errno) {
        guard context.uid != 0, try hasSetIDs(node) else { return }
        var changes = InodeChanges()
        changes.clearsSetIDs = true
        changes.mode = try modeWithoutSetGroupID(node, context)
        _ = try fileSystem.setAttributes(InodeID(node), changes)
        forgetSetIDs(node)
    }

    // MARK: Opening

    package func open(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply {
        guard options.asksForReads || options.isShared else { throw .noFunction }
        try checkUser(context)
        return OpenReply(
            handle: flags & Self.accessModeMask == 0 ? 0 : beginWriting(node),
            flags: options.asksForReads ? .noFlush : [.keepCache, .noFlush])
    }

    /// O_ACCMODE: 0 is O_RDONLY.
    private static let accessModeMask: UInt32 = 3
    /// Of an open file through which the kernel may get bytes to write.
    private static let writingHandle: UInt64 = 1

    /// The handle of a file that is open for writing. Until its RELEASE, which the kernel sends after it has written back what it caches
    /// of the file, also for a mapping that outlives the descriptor, it may hold bytes that are not here.
    private func beginWriting(_ node: NodeID) -> UInt64 {
        guard options.isShared else { return 0 }
        writers.begin(node.rawValue)
        return Self.writingHandle
    }

    package func opendir(_ node: NodeID, flags: UInt32, _ context: RequestContext) throws(Errno) -> OpenReply {
        guard options.asksForListings else { throw .noFunction }
        try checkUser(context)
        return OpenReply()
    }

    package func create(
        _ parent: NodeID, _ name: NameBytes, mode: UInt32, flags: UInt32, _ context: RequestContext
    ) throws(Errno) -> (Entry, OpenReply) {
        guard options.answersCreate else { throw .noFunction }
        let entry = try mknod(parent, name, mode: mode, rdev: 0, context)
        let handle = flags & Self.accessModeMask == 0 ? 0 : beginWriting(entry.node)
        return (entry, OpenReply(handle: handle, flags: [.keepCache, .noFlush]))
    }

    package func tmpfile(
        _ parent: NodeID, mode: UInt32, flags: UInt32, _ context: RequestContext
    ) throws(Errno) -> (Entry, OpenReply) {
        try checkUser(context)
        let attributes = try fileSystem.makeUnnamed(InodeID(parent), mode: mode & Mode.permissionMask, caller: Caller(context))
        let handle = beginWriting(NodeID(attributes.inode))
        return (entry(attributes), OpenReply(handle: handle, flags: [.keepCache, .noFlush]))
    }

    package func release(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) {
        if handle == Self.writingHandle { writers.end(node.rawValue) }
    }
    package func releasedir(_ node: NodeID, handle: UInt64, _ context: RequestContext) throws(Errno) {}
}
