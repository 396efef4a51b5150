/// A message to the kernel that answers no request.
public enum Notification: Sendable, Equatable {
    /// Attributes, and cached data of a range; a negative offset means attributes alone, a length of 0 up to the end.
    case invalidateInode(NodeID, offset: Int64, length: Int64)
    case invalidateEntry(parent: NodeID, name: [UInt8])
    /// As `invalidateEntry`; also tells watchers that the file is gone.
    case delete(parent: NodeID, child: NodeID, name: [UInt8])
    /// Puts data into the page cache.
    case store(NodeID, offset: UInt64, bytes: [UInt8])
}

extension Notification {
    /// The whole message.
    package func encoded() -> [UInt8] {
        switch self {
        case .invalidateInode(let node, let offset, let length):
            message(.invalidateInode, NotifyInvalidateInodeOut(node: node.rawValue, offset: offset, length: length), [])
        case .invalidateEntry(let parent, let name):
            message(
                .invalidateEntry, NotifyInvalidateEntryOut(parent: parent.rawValue, nameLength: UInt32(name.count)), name + [0])
        case .delete(let parent, let child, let name):
            message(
                .delete, NotifyDeleteOut(parent: parent.rawValue, child: child.rawValue, nameLength: UInt32(name.count)), name + [0])
        case .store(let node, let offset, let bytes):
            message(.store, NotifyStoreOut(node: node.rawValue, offset: offset, size: UInt32(bytes.count)), bytes)
        }
    }

    private func message<T: BitwiseCopyable>(_ code: NotifyCode, _ structure: T, _ tail: [UInt8]) -> [UInt8] {
        let size = MemoryLayout<OutHeader>.size + MemoryLayout<T>.size + tail.count
        var message: [UInt8] = []
        message.reserveCapacity(size)
        withUnsafeBytes(of: OutHeader(lengthBytes: UInt32(size), error: code.rawValue, unique: 0)) { message += $0 }
        withUnsafeBytes(of: structure) { message += $0 }
        return message + tail
    }
}
