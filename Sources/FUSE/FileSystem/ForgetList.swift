/// References that the kernel gives back: (node, number of lookups). Valid in the call that gets it.
public struct ForgetList: Sequence {
    private let single: ForgetOne?
    private let bytes: UnsafeRawBufferPointer
    public let count: Int

    package init(node: UInt64, count: UInt64) {
        single = ForgetOne(node: node, count: count)
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        self.count = 1
    }

    /// Never more than have arrived, whatever the count claims.
    package init(_ bytes: UnsafeRawBufferPointer, claimedCount: Int) {
        single = nil
        self.bytes = bytes
        count = Swift.min(claimedCount, bytes.count / MemoryLayout<ForgetOne>.size)
    }

    public subscript(index: Int) -> (node: NodeID, lookups: UInt64) {
        precondition(index >= 0 && index < count)
        let one = single ?? bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<ForgetOne>.size, as: ForgetOne.self)
        return (NodeID(one.node), one.count)
    }

    public func makeIterator() -> Iterator { Iterator(list: self) }

    public struct Iterator: IteratorProtocol {
        let list: ForgetList
        var index = 0

        public mutating func next() -> (node: NodeID, lookups: UInt64)? {
            guard index < list.count else { return nil }
            defer { index += 1 }
            return list[index]
        }
    }
}
