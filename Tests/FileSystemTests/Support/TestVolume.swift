import ChunkStore
import FileSystem
import Glibc
import Log
import MetadataStore
import Synchronization
import Syscalls
import SystemPackage

/// A file system over stores in memory, or over a log; with names and contents as arrays, and a clock that steps by a millisecond a look.
final class TestVolume: Sendable {
    let metadata: MemoryMetadataStore
    let chunks: MemoryChunkStore
    let fileSystem: FileSystem
    let log: FailureLog
    static let caller = Caller(uid: 1000, gid: 100)

    convenience init(
        metadata: MemoryMetadataStore = MemoryMetadataStore(), chunks: MemoryChunkStore = MemoryChunkStore(), formats: Bool = true,
        clock: TestClock = TestClock(), availableBytes: UInt64 = 1 << 29,
        nameHash: @escaping @Sendable (UnsafeRawBufferPointer) -> UInt64 = TestVolume.hash,
        options change: (inout FileSystemOptions) -> Void = { _ in }
    ) throws(Failure) {
        var options = FileSystemOptions()
        options.statesPreconditions = true
        change(&options)
        try self.init(
            metadata, chunks, formats: formats, clock: clock, availableBytes: availableBytes, nameHash: nameHash, options: options,
            metadata, chunks)
    }

    /// Over a log; the stores in memory are not used.
    convenience init(
        over log: VolumeLog, formats: Bool, clock: TestClock = TestClock(), options change: (inout FileSystemOptions) -> Void = { _ in }
    ) throws(Failure) {
        var options = FileSystemOptions()
        options.statesPreconditions = true
        change(&options)
        try self.init(
            MemoryMetadataStore(), MemoryChunkStore(), formats: formats, clock: clock, availableBytes: 1 << 29, nameHash: Self.hash,
            options: options,
            EmbeddedMetadataStore(log), EmbeddedChunkStore(log))
    }

    private init(
        _ metadata: MemoryMetadataStore, _ chunks: MemoryChunkStore, formats: Bool, clock: TestClock, availableBytes: UInt64,
        nameHash: @escaping @Sendable (UnsafeRawBufferPointer) -> UInt64, options: FileSystemOptions,
        _ usedMetadata: any MetadataStore, _ usedChunks: any ChunkStore
    ) throws(Failure) {
        let log = FailureLog()
        if formats { try FileSystem.format(usedMetadata, owner: Caller(uid: 0, gid: 0), now: clock.now()) }
        fileSystem = try FileSystem(
            metadata: usedMetadata, chunks: usedChunks,
            environment: FileSystemEnvironment(
                nameHash: nameHash, now: { clock.now() },
                capacity: { () throws(Failure) in VolumeCapacity(totalBytes: 1 << 30, availableBytes: availableBytes) },
                log: { log.add($0) }),
            options: options)
        self.metadata = metadata
        self.chunks = chunks
        self.log = log
    }

    /// FNV-1a: any hash will do.
    static let hash: @Sendable (UnsafeRawBufferPointer) -> UInt64 = { name in
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash ^ hash >> 29
    }
}

final class TestClock: Sendable {
    private let milliseconds = Atomic<Int64>(1_700_000_000_000)

    func now() -> Timestamp {
        let value = milliseconds.wrappingAdd(1, ordering: .relaxed).newValue
        return Timestamp(seconds: value / 1000, nanoseconds: UInt32(value % 1000) * 1_000_000)
    }

    func advance(seconds: Int64) { milliseconds.wrappingAdd(seconds * 1000, ordering: .relaxed) }
}

final class FailureLog: Sendable {
    private let failures = Mutex<[Failure]>([])
    func add(_ failure: Failure) { failures.withLock { $0.append(failure) } }
    var all: [Failure] { failures.withLock { $0 } }
}

// MARK: What is on its way to a segment
extension TestVolume {
    /// Bytes of chunks in a segment that no batch has named and nobody has given up.
    func unclaimedBytes(_ segment: UInt64) -> Int {
        (chunks.writtenBySegment[segment] ?? 0) - (chunks.abandonedBySegment[segment] ?? 0) - Int(metadata.claimedBytes[segment] ?? 0)
    }

    /// Segments for which there are any.
    var unclaimedSegments: [UInt64] { chunks.writtenBySegment.keys.filter { unclaimedBytes($0) != 0 }.sorted() }
}

// MARK: Operations with names and contents as values
extension TestVolume {
    private func raw<R>(_ name: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Errno) -> R) throws(Errno) -> R {
        // An array's buffer is used within the call only.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, name.count), alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: name)
        return try body(UnsafeRawBufferPointer(rebasing: copy[..<name.count]))
    }

    func lookup(_ directory: InodeID, _ name: [UInt8], retaining: Bool = false) throws(Errno) -> Attributes {
        try raw(name) { (name) throws(Errno) in try fileSystem.lookup(directory, name, retaining: retaining) }
    }
    func lookup(_ directory: InodeID, _ name: String) throws(Errno) -> Attributes { try lookup(directory, Array(name.utf8)) }

    @discardableResult
    func makeNode(
        _ directory: InodeID, _ name: [UInt8], mode: UInt32 = 0o644, device: UInt32 = 0, caller: Caller = TestVolume.caller,
        retaining: Bool = false
    ) throws(Errno) -> InodeID {
        try raw(name) { (name) throws(Errno) in
            try fileSystem.makeNode(directory, name, mode: mode, deviceNumber: device, caller: caller, retaining: retaining).inode
        }
    }
    @discardableResult
    func makeFile(_ directory: InodeID, _ name: String, mode: UInt32 = 0o644) throws(Errno) -> InodeID {
        try makeNode(directory, Array(name.utf8), mode: mode)
    }

    @discardableResult
    func makeDirectory(
        _ directory: InodeID, _ name: [UInt8], mode: UInt32 = 0o755, caller: Caller = TestVolume.caller, retaining: Bool = false
    ) throws(Errno) -> InodeID {
        try raw(name) { (name) throws(Errno) in
            try fileSystem.makeDirectory(directory, name, mode: mode, caller: caller, retaining: retaining).inode
        }
    }
    @discardableResult
    func makeDirectory(_ directory: InodeID, _ name: String) throws(Errno) -> InodeID { try makeDirectory(directory, Array(name.utf8)) }

    @discardableResult
    func makeSymbolicLink(_ directory: InodeID, _ name: [UInt8], target: [UInt8]) throws(Errno) -> InodeID {
        try raw(name) { (name) throws(Errno) in
            try raw(target) { (target) throws(Errno) in
                try fileSystem.makeSymbolicLink(directory, name, target: target, caller: Self.caller, retaining: false).inode
            }
        }
    }

    func readSymbolicLink(_ inode: InodeID) throws(Errno) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        let count = try fileSystem.readSymbolicLink(inode, into: buffer)
        return Array(buffer[..<count])
    }

    func unlink(_ directory: InodeID, _ name: [UInt8]) throws(Errno) {
        try raw(name) { (name) throws(Errno) in try fileSystem.unlink(directory, name) }
    }
    func unlink(_ directory: InodeID, _ name: String) throws(Errno) { try unlink(directory, Array(name.utf8)) }

    func removeDirectory(_ directory: InodeID, _ name: [UInt8]) throws(Errno) {
        try raw(name) { (name) throws(Errno) in try fileSystem.removeDirectory(directory, name) }
    }
    func removeDirectory(_ directory: InodeID, _ name: String) throws(Errno) { try removeDirectory(directory, Array(name.utf8)) }

    func rename(
        _ oldDirectory: InodeID, _ oldName: [UInt8], _ newDirectory: InodeID, _ newName: [UInt8], flags: RenameFlags = []
    ) throws(Errno) {
        try raw(oldName) { (oldName) throws(Errno) in
            try raw(newName) { (newName) throws(Errno) in
                try fileSystem.rename(oldDirectory, oldName, to: newDirectory, newName, flags: flags)
            }
        }
    }

    @discardableResult
    func link(_ inode: InodeID, _ directory: InodeID, _ name: [UInt8]) throws(Errno) -> Attributes {
        try raw(name) { (name) throws(Errno) in try fileSystem.link(inode, directory, name, retaining: false) }
    }

    func write(_ inode: InodeID, at offset: UInt64, _ data: [UInt8], clearsSetIDs: Bool = false) throws(Errno) {
        try raw(data) { (data) throws(Errno) in try fileSystem.write(inode, at: offset, from: data, clearsSetIDs: clearsSetIDs) }
    }

    func read(_ inode: InodeID, at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 1)
        defer { buffer.deallocate() }
        // What is not filled would show.
        if let base = buffer.baseAddress { memset(base, 0xdd, buffer.count) }
        let done = try fileSystem.read(inode, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        return Array(buffer[..<done])
    }

    @discardableResult
    func truncate(_ inode: InodeID, to size: UInt64) throws(Errno) -> Attributes {
        var changes = AttributeChanges()
        changes.sizeBytes = size
        return try fileSystem.setAttributes(inode, changes)
    }

    struct Listed: Equatable {
        var name: [UInt8]
        var inode: InodeID
        var type: InodeType
        var cookie: UInt64
        var attributes: Attributes?
    }

    func list(
        _ directory: InodeID, after cookie: UInt64 = 0, limit: Int = .max, withAttributes: Bool = false, retaining: Bool = false
    ) throws(Errno) -> [Listed] {
        var entries: [Listed] = []
        try fileSystem.listDirectory(directory, after: cookie, withAttributes: withAttributes, retaining: retaining) { entry in
            if entries.count >= limit { return false }
            entries.append(
                Listed(
                    name: Array(entry.name), inode: entry.inode, type: entry.type, cookie: entry.cookie, attributes: entry.attributes))
            return true
        }
        return entries
    }

    func setXattr(_ inode: InodeID, _ name: [UInt8], _ value: [UInt8], mode: ExtendedAttributeMode = .createOrReplace) throws(Errno) {
        try raw(name) { (name) throws(Errno) in
            try raw(value) { (value) throws(Errno) in try fileSystem.setExtendedAttribute(inode, name, value: value, mode: mode) }
        }
    }

    func xattr(_ inode: InodeID, _ name: [UInt8], limit: Int = 65_536) throws(Errno) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, limit), alignment: 1)
        defer { buffer.deallocate() }
        let count = try raw(name) { (name) throws(Errno) in
            try fileSystem.extendedAttribute(inode, name, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<limit]))
        }
        return Array(buffer[..<min(count, limit)])
    }

    func removeXattr(_ inode: InodeID, _ name: [UInt8]) throws(Errno) {
        try raw(name) { (name) throws(Errno) in try fileSystem.removeExtendedAttribute(inode, name) }
    }

    func xattrNames(_ inode: InodeID) throws(Errno) -> [[UInt8]] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
        defer { buffer.deallocate() }
        let count = try fileSystem.listExtendedAttributes(inode, into: buffer)
        return buffer[..<count].split(separator: 0).map { Array($0) }
    }
}
