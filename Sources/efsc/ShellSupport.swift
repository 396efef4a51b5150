import CEditline
import NIOCore
import Synchronization
import Syscalls

/// A line as words: white space parts them, quotes and backslashes keep it, as in sh(1).
enum ShellWords {
    static func split(_ line: String) throws(Failure) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in line {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil, !isEscaped else { throw Failure(.usage, "a quote is not closed") }
        if let word { words.append(word) }
        return words
    }
}

/// What is left of standard input, up to its end or to Ctrl-D.
enum StandardInput {
    /// The shell's `post` is for what is pasted; larger things come from a file.
    private static let largestBytes = 64 << 20

    static func rest() throws(Failure) -> ByteBuffer {
        var content = ByteBuffer()
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = efs_input_read(&piece, piece.count)
            if count == 0 { break }
            content.writeBytes(piece[..<count])
            guard content.readableBytes <= largestBytes else {
                throw Failure(.usage, "this is more than 64 MiB", hint: "post <path> <file> takes any size")
            }
        }
        // A terminal's end of input is for this content only.
        efs_input_clear_end()
        return content
    }
}

enum PathText {
    static func parent(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }
}

/// The first of failures that come from several tasks.
final class FirstFailure: Sendable {
    private let noted = Mutex<Failure?>(nil)
    var first: Failure? { noted.withLock { $0 } }
    func note(_ failure: Failure) { noted.withLock { $0 = $0 ?? failure } }
}
