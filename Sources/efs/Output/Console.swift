import Glibc
import NIOCore
import Syscalls
import SystemPackage

/// What the program writes: answers to standard output, everything else to standard error.
enum Console {
    static func output(_ text: String) { write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO) }

    /// File contents to standard output; a failure to write them is one, unlike for words.
    static func write(_ bytes: ByteBuffer) throws(Failure) {
        var rest = bytes
        while rest.readableBytes > 0 {
            let written = rest.withUnsafeReadableBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw Failure(systemCall: "write", object: "standard output", .current) }
            rest.moveReaderIndex(forwardBy: written)
        }
    }

    /// A note to the person at the terminal; not part of the answer.
    static func note(_ text: String) { write("efs: \(oneLine(text))\n", to: STDERR_FILENO) }

    static func warn(_ text: String) { write("efs: warning: \(oneLine(text))\n", to: STDERR_FILENO) }

    static let unlockedMemory =
        "the memory that keys lie in could not all be locked: they might reach swap; raise 'ulimit -l', or encrypt swap or have none"

    /// Replaces the terminal's current line: to its start, the text, and nothing behind it.
    static func rewriteLine(_ text: String) { write("\r\(text)\u{1B}[K", to: STDERR_FILENO) }

    static func report(_ failure: Failure) {
        var text = "efs: error: \(oneLine(failure.description))\n"
        if let hint = failure.hint { text += "efs: hint: \(oneLine(hint))\n" }
        write(text, to: STDERR_FILENO)
    }

    /// The text on one line: paths and messages of others may hold line ends, control characters of both sets, and marks that turn the
    /// direction of writing or hide what follows.
    static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if scalar == "\n" || scalar == "\t" || scalar == "\r" {
                line += " "
            } else {
                line.unicodeScalars.append(isShown(scalar) ? scalar : "?")
            }
        }
        while let last = line.last, last == " " { line.removeLast() }
        return line
    }

    /// By Unicode's general category: whether the character only shows itself.
    static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }

    /// A text for standard output that could not be written (a closed pipe, a full disk) is lost; there is nobody to tell.
    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
