package import BlobStorage
import Glibc
import Synchronization
package import SystemPackage

/// A disk in memory under the real `DirectoryStorage`: each system call that the storage makes is one call here. It remembers every change
/// and every sync in order, and so can tell what a power cut after any of them could have left (`forEachPowerCut`); and it fails any call
/// when it is told to (`setFault`).
///
/// Harder than a real one, and that is the point: nothing is certain without a sync of its own file or folder, not even in order; a write
/// may be torn at any sector; a name is in its folder for sure only after that folder's sync; after a file's sync that failed, what was
/// written before it is never certain any more, whatever later syncs say. (A folder's entries are: file systems keep a journal of them, and
/// stop for good where that fails.) Thread-safe.
package final class SimulatedDisk: Sendable {
    /// The kinds of calls that can fail.
    package enum Call: Sendable, CaseIterable, Hashable {
        case open, make, read, write, truncate, allocate, sync, syncFolder, unlink, rename, list
        package var isSync: Bool { self == .sync || self == .syncFolder }
    }

    /// Asked before each call, with the call's number; an error number makes it fail. A write that fails has written its first half.
    package typealias Fault = @Sendable (_ call: Call, _ number: Int) -> Errno?

    enum Record: Sendable {
        case change(DiskChange)
        case sync(Int)
    }

    struct State {
        var view: DiskImage
        /// What was on the disk when recording began, all of it certain.
        var start: DiskImage
        var records: [Record] = []
        /// Changes, by their numbers in `records`, that a failed sync has made uncertain for good.
        var doubtful: Set<Int> = []
        var callCount = 0
        var fault: Fault?

        mutating func perform(_ change: DiskChange) {
            view.perform(change)
            records.append(.change(change))
        }

        /// What of the file no sync came after is never certain.
        mutating func doubt(_ object: Int) {
            var pending: Set<Int> = []
            for (number, record) in records.enumerated() {
                switch record {
                case .change(let change): if change.object == object { pending.insert(number) }
                case .sync(object): pending = pending.intersection(doubtful)
                case .sync: break
                }
            }
            doubtful.formUnion(pending)
        }
    }

    let state: Mutex<State>
    private let capacityBytes: UInt64
    /// Files whose content means nothing: what is written to them is not remembered.
    static let meaningless: Set<String> = ["efs.lock", "efs.reserve"]

    package init(_ image: DiskImage = DiskImage(), capacityBytes: UInt64 = 1 << 40) {
        state = Mutex(State(view: image, start: image))
        self.capacityBytes = capacityBytes
    }

    /// The data directory: all of the disk.
    package func storage(readOnly: Bool = false) -> DirectoryStorage {
        DirectoryStorage(name: "disk", root: SimulatedFolder(self, DiskImage.root), readOnly: readOnly)
    }

    /// What is there now, as a running system sees it.
    package var image: DiskImage { state.withLock { $0.view } }
    /// Changes and syncs so far: a point in time.
    package var recordCount: Int { state.withLock { $0.records.count } }
    package var callCount: Int { state.withLock { $0.callCount } }
    package func setFault(_ fault: Fault?) { state.withLock { $0.fault = fault } }

    func enter(_ call: Call) throws(Errno) {
        let (fault, number) = state.withLock { state in
            state.callCount += 1
            return (state.fault, state.callCount - 1)
        }
        if let error = fault?(call, number) { throw error }
    }

    func perform(_ change: DiskChange, isRemembered: Bool = true) {
        state.withLock { if isRemembered { $0.perform(change) } else { $0.view.perform(change) } }
    }

    /// Whether a sync has failed after which something can never be certain.
    package var hasDoubts: Bool { state.withLock { !$0.doubtful.isEmpty } }

    func sync(_ object: Int, _ call: Call) throws(Errno) {
        do { try enter(call) } catch {
            if call == .sync {
                state.withLock { $0.doubt(object) }
            }
            throw error
        }
        state.withLock { $0.records.append(.sync(object)) }
    }

    /// Room is what the files take; nothing is kept for root.
    var capacity: StorageCapacity {
        let used = state.withLock { $0.view.files.values.reduce(0) { $0 + UInt64($1.count) } }
        return StorageCapacity(totalBytes: capacityBytes, availableBytes: capacityBytes - min(capacityBytes, used))
    }

    func checkRoom(_ file: Int, through end: Int) throws(Errno) {
        let size = state.withLock { $0.view.files[file]?.count ?? 0 }
        if end > size, UInt64(end - size) > capacity.availableBytes { throw .noSpace }
    }
}

final class SimulatedFolder: StorageFolder {
    private let disk: SimulatedDisk
    private let node: Int

    init(_ disk: SimulatedDisk, _ node: Int) {
        self.disk = disk
        self.node = node
    }

    private func entry(_ name: String) -> Int? { disk.state.withLock { $0.view.folders[node]?[name] } }

    func openFile(_ name: String, _ flags: CInt) throws(Errno) -> any StorageFile {
        try disk.enter(flags & O_CREAT == 0 ? .open : .make)
        let opened = disk.state.withLock { state -> Result<Int, Errno> in
            if let found = state.view.folders[node]?[name] {
                if flags & O_EXCL != 0 { return .failure(.fileExists) }
                return state.view.files[found] == nil ? .failure(.isDirectory) : .success(found)
            }
            if flags & O_CREAT == 0 || state.view.folders[node] == nil { return .failure(.noSuchFileOrDirectory) }
            let new = state.view.nextNode
            state.perform(.enter(node, name: name, node: new, isFolder: false))
            return .success(new)
        }
        return SimulatedFile(disk, try opened.get(), isRemembered: !SimulatedDisk.meaningless.contains(name))
    }

    func openFolder(_ name: String) throws(Errno) -> any StorageFolder {
        try disk.enter(.open)
        guard let found = entry(name) else { throw .noSuchFileOrDirectory }
        guard disk.state.withLock({ $0.view.folders[found] }) != nil else { throw .notDirectory }
        return SimulatedFolder(disk, found)
    }

    func makeFolder(_ name: String) throws(Errno) {
        try disk.enter(.make)
        let isNew = disk.state.withLock { state in
            if state.view.folders[node]?[name] != nil { return false }
            let new = state.view.nextNode
            state.perform(.enter(node, name: name, node: new, isFolder: true))
            return true
        }
        if !isNew { throw .fileExists }
    }

    func removeFolder(_ name: String) throws(Errno) {
        try disk.enter(.unlink)
        let error = disk.state.withLock { state -> Errno? in
            guard let found = state.view.folders[node]?[name] else { return .noSuchFileOrDirectory }
            guard let entries = state.view.folders[found] else { return .notDirectory }
            if !entries.isEmpty { return .directoryNotEmpty }
            state.perform(.remove(node, name: name))
            return nil
        }
        if let error { throw error }
    }

    func unlink(_ name: String) throws(Errno) {
        try disk.enter(.unlink)
        guard let found = entry(name) else { throw .noSuchFileOrDirectory }
        if disk.state.withLock({ $0.view.files[found] }) == nil { throw .isDirectory }
        disk.perform(.remove(node, name: name))
    }

    func rename(_ name: String, to new: String) throws(Errno) {
        try disk.enter(.rename)
        guard let found = entry(name) else { throw .noSuchFileOrDirectory }
        disk.perform(.rename(node, old: name, new: new, node: found))
    }

    func sync() throws(Errno) { try disk.sync(node, .syncFolder) }

    func names() throws(Errno) -> [String] {
        try disk.enter(.list)
        return disk.state.withLock { ($0.view.folders[node] ?? [:]).keys.sorted() }
    }

    func facts(of name: String) throws(Errno) -> StorageFileFacts? {
        guard let found = entry(name) else { return nil }
        return try SimulatedFile(disk, found, isRemembered: true).facts()
    }

    func capacity() throws(Errno) -> StorageCapacity { disk.capacity }
}

/// Locks are not simulated: there is one process.
final class SimulatedFile: StorageFile {
    private let disk: SimulatedDisk
    private let node: Int
    private let isRemembered: Bool

    init(_ disk: SimulatedDisk, _ node: Int, isRemembered: Bool) {
        self.disk = disk
        self.node = node
        self.isRemembered = isRemembered
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        try disk.enter(.read)
        return disk.state.withLock { state in
            guard let bytes = state.view.files[node], offset < UInt64(bytes.count) else { return 0 }
            let count = min(buffer.count, bytes.count - Int(offset))
            bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count])) }
            return count
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        do throws(Errno) {
            try disk.enter(.write)
            try disk.checkRoom(node, through: Int(offset) + bytes.count)
        } catch {
            let half = Array(bytes[..<(bytes.count / 2)])
            if !half.isEmpty { disk.perform(.write(node, offset: Int(offset), bytes: half), isRemembered: isRemembered) }
            throw error
        }
        disk.perform(.write(node, offset: Int(offset), bytes: Array(bytes)), isRemembered: isRemembered)
    }

    func syncData() throws(Errno) { try disk.sync(node, .sync) }
    func sync() throws(Errno) { try disk.sync(node, .sync) }

    func truncate(to sizeBytes: UInt64) throws(Errno) {
        try disk.enter(.truncate)
        disk.perform(.resize(node, size: Int(sizeBytes)), isRemembered: isRemembered)
    }

    func allocate(_ range: Range<UInt64>) throws(Errno) {
        try disk.enter(.allocate)
        try disk.checkRoom(node, through: Int(range.upperBound))
        disk.perform(.grow(node, size: Int(range.upperBound)), isRemembered: isRemembered)
    }

    func facts() throws(Errno) -> StorageFileFacts {
        disk.state.withLock { state in
            StorageFileFacts(
                isPlain: state.view.files[node] != nil, linkCount: 1, sizeBytes: UInt64(state.view.files[node]?.count ?? 0),
                identity: [0, UInt64(node)])
        }
    }

    /// A quota that is used up stays so.
    func syncFileSystem() throws(Errno) { throw .diskQuotaExceeded }
    func freeBytes() -> UInt64? { disk.capacity.availableBytes }
    func tryLock(exclusive: Bool) throws(Errno) -> Bool { true }
    func lockWaiting() throws(Errno) {}
    func unlock() {}
}
