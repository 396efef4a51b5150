import Glibc
import Syscalls

/// Looks ahead in another source: for what tells formats apart, and for headers made of lines.
final class BufferedSource: ByteSource {
    private let input: any ByteSource
    private let buffer = StageBuffer()
    private var unread = 0..<0

    init(_ input: any ByteSource) { self.input = input }

    /// The next bytes, which stay unread; fewer than `count` only at the end. At most the size of a block.
    func peek(_ count: Int) throws(Failure) -> UnsafeRawBufferPointer {
        if unread.count < count {
            buffer.moveToStart(unread)
            let got = try input.read(into: buffer[unread.count..<buffer.count])
            unread = 0..<unread.count + got
        }
        return UnsafeRawBufferPointer(buffer[unread.lowerBound..<unread.lowerBound + min(count, unread.count)])
    }

    var isAtEnd: Bool { get throws(Failure) { try peek(1).isEmpty } }

    func read(into output: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        let count = min(output.count, unread.count)
        if count > 0 {
            output.copyMemory(from: UnsafeRawBufferPointer(buffer[unread.lowerBound..<unread.lowerBound + count]))
            unread = unread.lowerBound + count..<unread.upperBound
        }
        if count == output.count { return count }
        return count + (try input.read(into: UnsafeMutableRawBufferPointer(rebasing: output[count...])))
    }

    /// Up to and without the next line feed, which is read too; nil if none comes within `limit` bytes.
    func readLine(limit: Int) throws(Failure) -> [UInt8]? {
        let next = try peek(min(limit + 1, StageBuffer.blockSizeBytes))
        guard let start = next.baseAddress, let end = memchr(start, 0x0A, next.count) else { return nil }
        let line = [UInt8](next[..<(UnsafeRawPointer(end) - start)])
        unread = unread.lowerBound + line.count + 1..<unread.upperBound
        return line
    }
}
