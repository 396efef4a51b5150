public import Sealing
public import Syscalls

/// The ways by which a password comes in. None is an argument: arguments are seen by everyone. All give guarded memory, and
/// what the bytes went through on the way is wiped. Nothing is cut off or changed but one line end.
public enum Password {
    /// More is refused, so that a wrong file name does not fill the locked memory.
    public static let largestSizeBytes = 64 << 10

    /// Refuses what should seal no volume.
    public static func checkNew(_ password: SecretBytes) throws(Failure) {
        guard password.count > 0 else { throw Failure(.usage, "the password is empty", hint: "choose one that nobody guesses") }
    }

    /// Reads to the first line end, which is not part of it, or to the end. `object` is what a message calls the source; `read`
    /// gives one byte, or 0 at the end.
    static func readLine(object: String, _ read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int) throws(Failure) -> SecretBytes {
        var count = 0
        // One byte more than allowed, to notice a longer one.
        let line = try SecretBytes(count: largestSizeBytes + 1) { (buffer) throws(Failure) in
            // One byte at a time: what follows the line may be for someone else, and passwords are short.
            while count < buffer.count {
                guard try read(UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + 1])) == 1 else { return }
                if buffer[count] == UInt8(ascii: "\n") {
                    if count > 0, buffer[count - 1] == UInt8(ascii: "\r") { count -= 1 }
                    return
                }
                count += 1
            }
        }
        guard count <= largestSizeBytes else {
            throw Failure(.usage, "the first line is longer than \(largestSizeBytes >> 10) KiB: that is no password", object: object)
        }
        return line.withUnsafeBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
