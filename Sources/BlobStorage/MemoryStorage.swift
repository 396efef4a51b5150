import Synchronization
public import Syscalls
import SystemPackage

/// Blobs in memory: for tests and for volumes that need not outlive their process.
public final class MemoryStorage: BlobStorage {
    private struct State {
        var blobs: [BlobID: MemoryBlob] = [:]
        var files: [String: MemoryBlob] = [:]
    }

    public let name: String
    public let isReadOnly = false
    private let state = Mutex(State())
    private let room: MemoryRoom

    /// Writing and allocating beyond `capacityBytes` fails with `.noSpace`, as on a disk.
    public init(name: String = "memory", capacityBytes: UInt64 = 1 << 40) {
        self.name = name
        room = MemoryRoom(capacityBytes: capacityBytes)
    }

    public func createBlob(_ id: BlobID) throws(Failure) -> any WritableBlob {
        let blob = MemoryBlob(name: "\(name)/\(id)", room)
        let isNew = state.withLock { state in
            if state.blobs[id] != nil { return false }
            state.blobs[id] = blob
            return true
        }
        guard isNew else { throw Failure(.alreadyExists, "there is a blob of this name", object: "\(name)/\(id)", cause: .fileExists) }
        return blob
    }

    public func openBlob(_ id: BlobID) throws(Failure) -> any ReadableBlob {
        guard let blob = state.withLock({ $0.blobs[id] }) else { throw missing("\(id)") }
        return blob
    }

    public func deleteBlob(_ id: BlobID) throws(Failure) {
        guard let blob = state.withLock({ $0.blobs.removeValue(forKey: id) }) else { throw missing("\(id)") }
        blob.giveRoomBack()
    }

    public func truncateBlob(_ id: BlobID, to sizeBytes: UInt64) throws(Failure) {
        guard let blob = state.withLock({ $0.blobs[id] }) else { throw missing("\(id)") }
        try blob.truncate(to: sizeBytes)
    }

    public func syncBlob(_ id: BlobID) throws(Failure) { _ = try openBlob(id) }

    public func syncNames(of ids: [BlobID]) throws(Failure) {}

    public func listBlobs(_ visit: (BlobID) throws(Failure) -> Void) throws(Failure) {
        for id in state.withLock({ Array($0.blobs.keys) }) { try visit(id) }
    }

    public func readSmallFile(_ file: String, limitBytes: Int) throws(Failure) -> [UInt8]? {
        guard let blob = state.withLock({ $0.files[file] }) else { return nil }
        let bytes = blob.contents
        guard bytes.count <= limitBytes else { throw Failure(.damaged, "is larger than \(limitBytes) bytes", object: "\(name)/\(file)") }
        return bytes
    }

    public func replaceSmallFile(_ file: String, with bytes: [UInt8]) throws(Failure) {
        let blob = MemoryBlob(name: "\(name)/\(file)", room)
        try bytes.withBytes { (bytes) throws(Failure) in try blob.write(bytes, at: 0) }
        let old = state.withLock { $0.files.updateValue(blob, forKey: file) }
        old?.giveRoomBack()
    }

    public func openSmallFile(_ file: String) throws(Failure) -> any WritableBlob {
        state.withLock { state in
            if let blob = state.files[file] { return blob }
            let blob = MemoryBlob(name: "\(name)/\(file)", room)
            state.files[file] = blob
            return blob
        }
    }

    public func deleteSmallFile(_ file: String) throws(Failure) {
        guard let blob = state.withLock({ $0.files.removeValue(forKey: file) }) else { throw missing(file) }
        blob.giveRoomBack()
    }

    public func capacity() throws(Failure) -> StorageCapacity {
        room.capacity
    }

    private func missing(_ object: String) -> Failure {
        Failure(.missing, "is not there", object: "\(name)/\(object)", cause: .noSuchFileOrDirectory)
    }
}

/// The room of one storage, that its blobs share.
private final class MemoryRoom: Sendable {
    private let usedBytes = Mutex<UInt64>(0)
    private let capacityBytes: UInt64

    init(capacityBytes: UInt64) { self.capacityBytes = capacityBytes }

    func take(_ bytes: Int, for object: String) throws(Failure) {
        let fits = usedBytes.withLock { used in
            if used + UInt64(bytes) > capacityBytes { return false }
            used += UInt64(bytes)
            return true
        }
        if !fits { throw Failure(.noSpace, "the storage is full", object: object, cause: .noSpace) }
    }

    func giveBack(_ bytes: Int) { usedBytes.withLock { $0 -= UInt64(bytes) } }

    var capacity: StorageCapacity {
        StorageCapacity(totalBytes: capacityBytes, availableBytes: capacityBytes - usedBytes.withLock { $0 })
    }
}

private final class MemoryBlob: WritableBlob {
    private struct State {
        var bytes: [UInt8] = []
        /// Of the room this much is taken: at least the content, once deleted nothing.
        var takenBytes = 0
        var isDeleted = false
    }

    private let name: String
    private let room: MemoryRoom
    private let state = Mutex(State())

    init(name: String, _ room: MemoryRoom) {
        self.name = name
        self.room = room
    }

    var contents: [UInt8] { state.withLock { $0.bytes } }

    func giveRoomBack() {
        state.withLock { state in
            room.giveBack(state.takenBytes)
            state.takenBytes = 0
            state.isDeleted = true
        }
    }

    private func take(through end: Int, _ state: inout State) throws(Failure) {
        if end <= state.takenBytes || state.isDeleted { return }
        try room.take(end - state.takenBytes, for: name)
        state.takenBytes = end
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        state.withLock { state in
            guard offset < UInt64(state.bytes.count) else { return 0 }
            let count = min(buffer.count, state.bytes.count - Int(offset))
            state.bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count])) }
            return count
        }
    }

    func sizeBytes() throws(Failure) -> UInt64 { state.withLock { UInt64($0.bytes.count) } }

    func write(_ new: UnsafeRawBufferPointer, at offset: UInt64) throws(Failure) {
        try state.withLock { (state) throws(Failure) -> Void in
            let end = Int(offset) + new.count
            try take(through: end, &state)
            state.bytes.overwrite(new, at: Int(offset))
        }
    }

    func sync() throws(Failure) {}

    func truncate(to sizeBytes: UInt64) throws(Failure) {
        try state.withLock { (state) throws(Failure) -> Void in
            let size = Int(sizeBytes)
            try take(through: size, &state)
            if size < state.bytes.count {
                state.bytes.removeLast(state.bytes.count - size)
            } else {
                state.bytes.append(contentsOf: [UInt8](repeating: 0, count: size - state.bytes.count))
            }
            room.giveBack(state.takenBytes - (state.isDeleted ? state.takenBytes : size))
            if !state.isDeleted { state.takenBytes = size }
        }
    }

    func allocate(_ range: Range<UInt64>) throws(Failure) {
        try state.withLock { (state) throws(Failure) -> Void in try take(through: Int(range.upperBound), &state) }
    }

    func zeroFill(_ range: Range<UInt64>) throws(Failure) {
        let zeros = [UInt8](repeating: 0, count: Int(range.count))
        try zeros.withBytes { (zeros) throws(Failure) in try write(zeros, at: range.lowerBound) }
    }
}

extension [UInt8] {
    /// Writes as a file is written: a gap before `offset` becomes zeros. (Appending whole arrays and buffers is a copy of memory; appending
    /// repeated elements is a loop.)
    mutating func overwrite(_ new: UnsafeRawBufferPointer, at offset: Int) {
        if count < offset { append(contentsOf: [UInt8](repeating: 0, count: offset - count)) }
        let overlap = Swift.min(new.count, count - offset)
        if overlap > 0 {
            withUnsafeMutableBytes { mine in
                UnsafeMutableRawBufferPointer(rebasing: mine[offset..<offset + overlap]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: new[..<overlap]))
            }
        }
        if overlap < new.count { append(contentsOf: UnsafeRawBufferPointer(rebasing: new[overlap...])) }
    }
}
