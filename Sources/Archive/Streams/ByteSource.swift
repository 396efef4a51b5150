public import Syscalls

/// A stage that bytes are pulled through. Used by one thread at a time.
public protocol ByteSource: AnyObject {
    /// Fills `buffer`. Gives fewer bytes only at the end, once everything that the format can verify is verified; 0 from then on.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
}

extension ByteSource {
    /// Exactly `count` bytes; `.damaged` if there are fewer. Only for small counts: they are allocated.
    func read(exactly count: Int, _ what: String) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try bytes.withMutableBytes { (buffer) throws(Failure) in try read(into: buffer) }
        guard got == count else { throw Failure(.damaged, "the archive ends within \(what)") }
        return bytes
    }

    /// Reads to the end, for what is verified there.
    func drain(through buffer: UnsafeMutableRawBufferPointer) throws(Failure) {
        while try read(into: buffer) > 0 {}
    }
}
