import CZstd
public import Syscalls

// libzstd is called directly, not through libarchive, which writes no checksum and ignores what follows the end.

/// Compresses into zstd (RFC 8878), with a checksum of the content.
public final class ZstdSink: ByteSink {
    private let output: any ByteSink
    private let context: OpaquePointer
    private let buffer = StageBuffer(count: ZSTD_CStreamOutSize())

    public init(_ output: any ByteSink, level: Int = 3) {
        self.output = output
        guard let context = ZSTD_createCCtx() else { fatalError("no memory for a compressor") }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    public func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) { try compress(bytes, ZSTD_e_continue) }

    public func finish() throws(Failure) {
        try compress(UnsafeRawBufferPointer(start: nil, count: 0), ZSTD_e_end)
        try output.finish()
    }

    private func compress(_ bytes: UnsafeRawBufferPointer, _ end: ZSTD_EndDirective) throws(Failure) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            var out = ZSTD_outBuffer(dst: buffer.bytes.baseAddress, size: buffer.count, pos: 0)
            let left = ZSTD_compressStream2(context, &out, &input, end)
            guard ZSTD_isError(left) == 0 else { throw Failure(.notPermitted, "not enough memory to compress") }
            try output.write(UnsafeRawBufferPointer(buffer[0..<out.pos]))
            if end == ZSTD_e_end ? left == 0 : input.pos == input.size { return }
        }
    }
}

/// Decompresses zstd, of one or several frames. Checks their checksums, where they have one, and that nothing else follows.
public final class ZstdSource: ByteSource {
    private let input: any ByteSource
    private let context: OpaquePointer
    private let buffer = StageBuffer()
    private var block = ZSTD_inBuffer()
    private var inputIsAtEnd = false
    /// Nothing of a frame is missing.
    private var isOutside = false

    public init(_ input: any ByteSource) {
        self.input = input
        guard let context = ZSTD_createDCtx() else { fatalError("no memory for a decompressor") }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    public func read(into output: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var out = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while out.pos < out.size {
            if block.pos == block.size, !inputIsAtEnd { try fill() }
            let isEmpty = block.pos == block.size
            if isEmpty, isOutside { break }
            let before = (out.pos, block.pos)
            let left = ZSTD_decompressStream(context, &out, &block)
            guard ZSTD_isError(left) == 0 else {
                throw Failure(.damaged, "the archive is damaged: its compressed data does not hold together")
            }
            isOutside = left == 0
            // Without input it may still give out what it held back.
            if isEmpty, !isOutside, before == (out.pos, block.pos) {
                throw Failure(.damaged, "the archive is damaged: its compressed data is not whole")
            }
        }
        return out.pos
    }

    private func fill() throws(Failure) {
        let count = try input.read(into: buffer.bytes)
        inputIsAtEnd = count < buffer.count
        block = ZSTD_inBuffer(src: buffer.bytes.baseAddress, size: count, pos: 0)
    }
}
