import CZlib
public import Syscalls

// zlib is called directly, not through libarchive, whose reader checks neither gzip's CRC nor what follows its end.

/// Compresses into gzip (RFC 1952).
public final class GzipSink: ByteSink {
    private let output: any ByteSink
    private let stream: UnsafeMutablePointer<z_stream>
    private let buffer = StageBuffer()

    public init(_ output: any ByteSink, level: Int = 6) {
        self.output = output
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, 16 for gzip's header; 8 is zlib's usual memory.
        let result = deflateInit2_(
            stream, Int32(level), Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib takes these parameters")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        // zlib counts in 32 bits.
        var rest = bytes
        while !rest.isEmpty {
            let portion = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            try compress(portion, Z_NO_FLUSH)
            rest = UnsafeRawBufferPointer(rebasing: rest[portion.count...])
        }
    }

    public func finish() throws(Failure) {
        try compress(UnsafeRawBufferPointer(start: nil, count: 0), Z_FINISH)
        try output.finish()
    }

    private func compress(_ bytes: UnsafeRawBufferPointer, _ flush: Int32) throws(Failure) {
        // zlib does not write to its input.
        stream.pointee.next_in = UnsafeMutablePointer(mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
        stream.pointee.avail_in = UInt32(bytes.count)
        repeat {
            stream.pointee.next_out = buffer.bytes.assumingMemoryBound(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(buffer.count)
            let result = deflate(stream, flush)
            precondition(result != Z_STREAM_ERROR, "the stream's state is whole")
            try output.write(UnsafeRawBufferPointer(buffer[0..<buffer.count - Int(stream.pointee.avail_out)]))
        } while stream.pointee.avail_out == 0
    }
}

/// Decompresses gzip, of one or several members. Checks each member's CRC and length, and that nothing else follows.
public final class GzipSource: ByteSource {
    private let input: any ByteSource
    private let stream: UnsafeMutablePointer<z_stream>
    private let buffer = StageBuffer()
    private var inputIsAtEnd = false
    /// Between two members.
    private var isOutside = false

    public init(_ input: any ByteSource) {
        self.input = input
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib takes these parameters")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    public func read(into output: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var done = 0
        while done < output.count {
            if stream.pointee.avail_in == 0, !inputIsAtEnd { try fill() }
            let isEmpty = stream.pointee.avail_in == 0
            if isOutside {
                if isEmpty { break }
                inflateReset(stream)
                isOutside = false
            }
            let count = min(output.count - done, 1 << 30)
            stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self).baseAddress! + done
            stream.pointee.avail_out = UInt32(count)
            let result = inflate(stream, Z_NO_FLUSH)
            done += count - Int(stream.pointee.avail_out)
            switch result {
            case Z_STREAM_END: isOutside = true
            case Z_OK: break
            case Z_BUF_ERROR where isEmpty: throw Failure(.damaged, "the archive is damaged: its compressed data is not whole")
            case Z_BUF_ERROR: break
            case Z_MEM_ERROR: throw Failure(.notPermitted, "not enough memory to decompress")
            default: throw Failure(.damaged, "the archive is damaged: its compressed data does not hold together")
            }
        }
        return done
    }

    private func fill() throws(Failure) {
        let count = try input.read(into: buffer.bytes)
        inputIsAtEnd = count < buffer.count
        stream.pointee.next_in = buffer.bytes.assumingMemoryBound(to: UInt8.self).baseAddress
        stream.pointee.avail_in = UInt32(count)
    }
}
