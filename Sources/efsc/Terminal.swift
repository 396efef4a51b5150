import Glibc
import NIOCore
import Syscalls

/// What the shell prints.
enum Terminal {
    static func output(_ text: String, end: String = "\n") { write(Array((text + end).utf8), to: STDOUT_FILENO) }

    static func report(_ failure: Failure) {
        var text = "efsc: error: \(oneLine(failure.description))\n"
        if let hint = failure.hint { text += "efsc: hint: \(oneLine(hint))\n" }
        write(Array(text.utf8), to: STDERR_FILENO)
    }

    static func output(_ bytes: ByteBuffer) { write(Array(bytes.readableBytesView), to: STDOUT_FILENO) }

    /// Names of others may hold line ends and escape sequences.
    static func oneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "?" : $0 }))
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            // Nobody reads any more: there is nobody to tell.
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}
