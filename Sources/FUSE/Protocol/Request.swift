package import SystemPackage

/// One request as a transport brings it: the header, the operation's fixed structure and what follows it. The transports
/// receive these in one buffer (classic) or in two (io_uring); what handles a request does not know which.
///
/// The kernel is trusted not to lie, but nothing here relies on it: each access is bounded by what has arrived.
/// The pointers are valid until the reply is sent.
package struct Request {
    package var header: InHeader
    /// Begins with the operation's structure; may be longer than it.
    package var operation: UnsafeRawBufferPointer
    /// Names and data.
    package var payload: UnsafeRawBufferPointer

    package init(header: InHeader, operation: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) {
        self.header = header
        self.operation = operation
        self.payload = payload
    }

    /// Splits a message that arrived in one piece. Nil if it is cut off or its length field disagrees.
    package init?(message: UnsafeRawBufferPointer) {
        let headSize = MemoryLayout<InHeader>.size
        guard message.count >= headSize else { return nil }
        header = message.loadUnaligned(as: InHeader.self)
        guard Int(header.lengthBytes) == message.count else { return nil }
        // An opcode that is not known is answered all the same; nothing of its body is looked at.
        let wanted = Opcode(rawValue: header.opcode)?.operationSizeBytes ?? 0
        let split = min(headSize + wanted, message.count)
        operation = UnsafeRawBufferPointer(rebasing: message[headSize..<split])
        payload = UnsafeRawBufferPointer(rebasing: message[split...])
    }

    /// The operation's structure; EINVAL if it is cut off.
    package func structure<T: BitwiseCopyable>(_: T.Type) throws(Errno) -> T {
        guard operation.count >= MemoryLayout<T>.size else { throw .invalidArgument }
        return operation.loadUnaligned(as: T.self)
    }

    /// The one name that is the payload's beginning.
    package func name() throws(Errno) -> UnsafeRawBufferPointer {
        var rest = payload
        return try Self.takeName(&rest)
    }

    /// The two names that are the payload's beginning.
    package func names() throws(Errno) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer) {
        var rest = payload
        let first = try Self.takeName(&rest)
        return (first, try Self.takeName(&rest))
    }

    /// The name at the head of `rest`, without the NUL that ends it; `rest` becomes what follows the NUL.
    package static func takeName(_ rest: inout UnsafeRawBufferPointer) throws(Errno) -> UnsafeRawBufferPointer {
        guard let end = rest.firstIndex(of: 0) else { throw .invalidArgument }
        let name = UnsafeRawBufferPointer(rebasing: rest[..<end])
        rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
        return name
    }
}

/// What becomes of a request.
package enum Reply {
    /// The kernel waits for none.
    case none
    case error(Errno)
    /// So many bytes of the reply buffer.
    case payload(Int)
    /// What the search ends with. It needs other requests of the mount to be answered meanwhile.
    case afterWriteback(PendingSeek)

    package static let done = Reply.payload(0)
}

extension UnsafeMutableRawBufferPointer {
    /// Writes a structure at the beginning and answers with it; EIO if the transport's buffer is too small for it.
    func reply<T: BitwiseCopyable>(_ value: T) throws(Errno) -> Reply {
        guard let base = baseAddress, count >= MemoryLayout<T>.size else { throw .ioError }
        base.storeBytes(of: value, as: T.self)
        return .payload(MemoryLayout<T>.size)
    }
}
