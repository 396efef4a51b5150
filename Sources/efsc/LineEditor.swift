import CEditline
import Glibc
import Identity
import Transfer

/// Lines from a person at a terminal, by editline: history, kept over sessions, and completion. Used by the main thread alone.
final class LineEditor {
    private let editor: OpaquePointer
    private let history: OpaquePointer
    private let historyPath: String?
    /// Gives the ways to go on for the line up to the cursor: each is the rest of the last word.
    fileprivate let complete: (String) -> [String]
    private var prompt: [CChar]

    init?(prompt: String, complete: @escaping (String) -> [String]) {
        guard let editor = efs_editor_open("efsc"), let history = history_init() else { return nil }
        self.editor = editor
        self.history = history
        self.complete = complete
        self.prompt = Array(prompt.utf8CString)
        historyPath = UserDirectories.state.map { $0 + "/efs/efsc-history" }
        var event = HistEvent()
        efs_history_setsize(history, &event, 1000)
        efs_editor_start(editor, history, Unmanaged.passUnretained(self).toOpaque(), { editor in LineEditor.shown(editor) }) {
            editor, _ in LineEditor.completed(editor)
        }
        if let historyPath { efs_history_file(history, &event, historyPath, 0) }
    }

    deinit {
        var event = HistEvent()
        if let historyPath {
            UserDirectories.make(PathText.parent(historyPath))
            let mask = umask(0o077)
            efs_history_file(history, &event, historyPath, 1)
            umask(mask)
        }
        el_end(editor)
        history_end(history)
    }

    /// The next line without its end; nil at the end of the input.
    func line() -> String? {
        var count: Int32 = 0
        guard let text = el_gets(editor, &count), count > 0 else { return nil }
        let line = String(cString: text).trimmingLineEnd
        if !line.isEmpty {
            var event = HistEvent()
            efs_history_enter(history, &event, text)
        }
        return line
    }

    private static func from(_ editor: OpaquePointer?) -> LineEditor? {
        efs_editor_data(editor).map { Unmanaged<LineEditor>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func shown(_ editor: OpaquePointer?) -> UnsafeMutablePointer<CChar>? {
        guard let found = from(editor) else { return nil }
        return found.prompt.withUnsafeMutableBufferPointer { $0.baseAddress }
    }

    private static func completed(_ editor: OpaquePointer?) -> UInt8 {
        guard let found = from(editor), let info = el_line(editor)?.pointee else { return UInt8(CC_ERROR) }
        let count = info.cursor - info.buffer
        let before = String(decoding: UnsafeBufferPointer(start: info.buffer, count: count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let ways = found.complete(before)
        guard let first = ways.first else { return UInt8(CC_REFRESH_BEEP) }
        let common = ways.dropFirst().reduce(first) { $0.commonPrefix(with: $1) }
        if !common.isEmpty {
            el_insertstr(editor, common)
            return UInt8(CC_REFRESH)
        }
        Terminal.output("\n" + ways.prefix(100).map(Terminal.oneLine).joined(separator: "  "))
        return UInt8(CC_REDISPLAY)
    }
}

extension String {
    fileprivate var trimmingLineEnd: String {
        var text = self
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }

    fileprivate func commonPrefix(with other: String) -> String {
        String(zip(self, other).prefix { $0.0 == $0.1 }.map(\.0))
    }
}
