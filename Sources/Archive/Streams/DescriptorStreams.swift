import Glibc
public import Syscalls
import SystemPackage

/// Writes to an open file, pipe or terminal. Does not sync or close it.
public final class DescriptorSink: ByteSink {
    private let descriptor: OwnedDescriptor
    private let name: String
    private var gatherer = BlockGatherer(blockSizeBytes: 256 << 10)
    public private(set) var bytesWritten: UInt64 = 0

    /// - Parameter name: what a message calls it.
    public init(_ descriptor: OwnedDescriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try gatherer.add(bytes) { (block) throws(Failure) in try put(block) }
    }

    public func finish() throws(Failure) { try put(gatherer.last) }

    private func put(_ block: UnsafeRawBufferPointer) throws(Failure) {
        var rest = block
        while !rest.isEmpty {
            let count: Int
            do throws(Errno) {
                count = try retryingCount { Glibc.write(descriptor.rawValue, rest.baseAddress, rest.count) }
            } catch { throw Failure(systemCall: "writing", object: name, error) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        bytesWritten += UInt64(block.count)
    }
}

/// Reads an open file or pipe from where it stands.
public final class DescriptorSource: ByteSource {
    private let descriptor: OwnedDescriptor
    private let name: String
    private let didRead: (Int) throws(Failure) -> Void

    /// - Parameter didRead: told of each number of bytes that was read; may stop the work by throwing.
    public init(_ descriptor: OwnedDescriptor, name: String, didRead: @escaping (Int) throws(Failure) -> Void = { _ in }) {
        self.descriptor = descriptor
        self.name = name
        self.didRead = didRead
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var done = 0
        while done < buffer.count {
            let count: Int
            do throws(Errno) {
                count = try retryingCount { Glibc.read(descriptor.rawValue, buffer.baseAddress! + done, buffer.count - done) }
            } catch { throw Failure(systemCall: "reading", object: name, error) }
            if count == 0 { break }
            done += count
            try didRead(count)
        }
        return done
    }
}

/// Bytes in memory, for tests and small things.
public final class MemorySource: ByteSource {
    private var rest: ArraySlice<UInt8>

    public init(_ bytes: [UInt8]) { rest = bytes[...] }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        let portion = rest.prefix(buffer.count)
        buffer.copyBytes(from: portion)
        rest = rest.dropFirst(portion.count)
        return portion.count
    }
}

/// Collects bytes in memory, for tests and small things.
public final class MemorySink: ByteSink {
    public private(set) var bytes: [UInt8] = []
    public private(set) var isFinished = false

    public init() {}

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { self.bytes.append(contentsOf: bytes) }
    public func finish() throws(Failure) { isFinished = true }
}
